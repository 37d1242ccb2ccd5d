"""Store plays that scrobblers and listening histories report, each once, beside the plays that the app reports."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from interactions.bulk import NewInteraction, insert_interactions
from interactions.models import Clock, Interaction, UnmatchedListen
from interactions.play_reports import (
    APP,
    MINUTE_TOLERANCE_S,
    SCROBBLE_SOURCES,
    Play,
    PlayIndex,
    PlayReport,
    make_report,
    measure_gap,
)

TOLERANCE_S = MINUTE_TOLERANCE_S
LONGEST_APP_PLAY_S = 3 * 3600  # plays of the app are stored with the time of their end
MERGED_WINDOWS_S = 86_400  # windows of time that are closer together are read as one
WINDOWS_PER_QUERY = 100
BATCH_SIZE = 500
_COLUMNS = ("pk", "track_id", "played_at", "event_id", "source", "device", "ms_played", "end_reason", "reports")
_WAITING_COLUMNS = (
    *("pk", "match_key", "artist", "title", "listened_at", "event_id", "source", "device", "ms_played"),
    *("end_reason", "duration_ms", "reports"),
)


def record_scrobbles(user_id: int, plays: Sequence[Play]) -> int:
    """Store the plays of one listener that are not stored yet, and return how many. Their rows are NewInteractions.

    The listener's row must be locked, so that no other process stores reports of the same plays at this moment.
    """
    if not plays:
        return 0
    index = PlayIndex.of(_load_plays(user_id, plays))
    _record_in_order(index, plays)
    replaced = [play for play in index.changed if play.row is not None]
    if replaced:
        Interaction.objects.filter(pk__in=[play.pk for play in replaced]).delete()
        insert_interactions([_row_with_reports(play) for play in replaced])
    _update_reports(Interaction, (play for play in index.changed if play.row is None))
    return insert_interactions([_row_with_reports(play) for play in index.new])


def record_waiting_listens(user_id: int, plays: Sequence[Play]) -> None:
    """Store the listens of one listener that wait for their tracks, each once. Their rows are UnmatchedListens.

    The listener's row must be locked, as for `record_scrobbles`.
    """
    if not plays:
        return
    index = PlayIndex.of(_load_waiting_listens(user_id, plays))
    _record_in_order(index, plays)
    replaced = [play for play in index.changed if play.row is not None]
    if replaced:
        UnmatchedListen.objects.filter(pk__in=[play.pk for play in replaced]).delete()
    _update_reports(UnmatchedListen, (play for play in index.changed if play.row is None))
    rows: list[UnmatchedListen] = []
    for play in (*index.new, *replaced):
        play.row.reports = _encode_reports(play.reports, play.row.source, play.row.device)
        rows.append(play.row)
    UnmatchedListen.objects.bulk_create(rows, batch_size=BATCH_SIZE, ignore_conflicts=True)


def absorb_scrobbles(rows: Sequence[NewInteraction], durations: Mapping[int, int | None]) -> None:
    """Delete the scrobbles of plays that the app has just reported itself, and list their reports in the app's rows.

    Call it in the transaction that inserted the rows, after the revisions of their listeners were bumped, because that
    locks the listeners.

    Args:
        rows: the inserted rows, of several listeners.
        durations: lengths of their tracks in milliseconds.
    """
    plays = [row for row in rows if row.kind == Interaction.Kind.PLAY and row.clock != Clock.ARRIVAL]
    starts = [_app_start(row.played_at, row.ms_played, durations.get(row.track_id)) for row in plays]
    users = {row.user_id for row in plays}
    scrobbles: dict[tuple[int, Hashable], list[Play]] = defaultdict(list)
    for window in _time_windows("played_at", starts, before=TOLERANCE_S, after=TOLERANCE_S):
        stored = Interaction.objects.filter(window, user_id__in=users, source__in=SCROBBLE_SOURCES)
        for user_id, *columns in stored.filter(kind=Interaction.Kind.PLAY).values_list("user_id", *_COLUMNS):
            scrobble = _read_play(columns, durations)
            scrobbles[user_id, scrobble.key].append(scrobble)
    if not scrobbles:
        return
    event_ids = [row.event_id for row in plays if (row.user_id, row.track_id) in scrobbles]
    own = Interaction.objects.filter(user_id__in=users, event_id__in=event_ids, source=APP, kind=Interaction.Kind.PLAY)
    pairs = []
    for user_id, *columns in own.values_list("user_id", *_COLUMNS):
        play = _read_play(columns, durations)
        gaps = ((measure_gap(play, scrobble), scrobble) for scrobble in scrobbles[user_id, play.key])
        pairs += [(gap, play.rank, scrobble.rank, play, scrobble) for gap, scrobble in gaps if gap is not None]
    absorbed: set[Play] = set()
    absorbing: set[Play] = set()
    for _, _, _, play, scrobble in sorted(pairs, key=lambda pair: pair[:3]):
        # Meanwhile the play may have absorbed a report of the same channel.
        if scrobble not in absorbed and measure_gap(play, scrobble) is not None:
            play.reports += scrobble.reports
            absorbed.add(scrobble)
            absorbing.add(play)
    if absorbed:
        Interaction.objects.filter(pk__in=[scrobble.pk for scrobble in absorbed]).delete()
        _update_reports(Interaction, absorbing)


def waiting_key(match_key: str, artist: str, title: str) -> str:
    """Return what the track of a waiting listen is recognised by: its names if they cannot be normalised."""
    return match_key or f"{artist}\0{title}"


def read_reports(stored: list[list[Any]] | None, source: str, device: str, start: int) -> list[PlayReport]:
    """Return the reports in the column of a row, or the only one, which follows from the other columns."""
    return [PlayReport(*report) for report in stored] if stored else [make_report(source, device, start)]


def _record_in_order(index: PlayIndex, plays: Iterable[Play]) -> None:
    for play in sorted(plays, key=lambda play: (play.reports[0].start, play.rank)):
        index.record(play)


def _load_plays(user_id: int, plays: Sequence[Play]) -> Iterator[Play]:
    """Yield the stored plays of a listener that these plays may be reports of."""
    durations = {play.key: play.duration_ms for play in plays}
    starts = [report.start for play in plays for report in play.reports]
    stored = Interaction.objects.filter(
        user_id=user_id, kind=Interaction.Kind.PLAY, plays=1, source__in=[APP, *SCROBBLE_SOURCES]
    ).exclude(clock=Clock.ARRIVAL)  # nobody knows when those were played
    for window in _time_windows("played_at", starts, before=TOLERANCE_S, after=TOLERANCE_S + LONGEST_APP_PLAY_S):
        for columns in stored.filter(window).values_list(*_COLUMNS):
            yield _read_play(columns, durations)


def _read_play(columns: Sequence[Any], durations: Mapping[Any, int | None]) -> Play:
    pk, track_id, played_at, event_id, source, device, ms_played, end_reason, reports = columns
    duration_ms = durations.get(track_id)
    is_own = source == APP
    start = _app_start(played_at, ms_played, duration_ms) if is_own else int(played_at.timestamp())
    return Play.create(
        track_id,
        event_id,
        read_reports(reports, source, device, start),
        source=source,
        ms_played=ms_played,
        end_reason=end_reason,
        duration_ms=duration_ms,
        pk=pk,
    )


def _load_waiting_listens(user_id: int, plays: Sequence[Play]) -> Iterator[Play]:
    starts = [report.start for play in plays for report in play.reports]
    for window in _time_windows("listened_at", starts, before=TOLERANCE_S, after=TOLERANCE_S):
        stored = UnmatchedListen.objects.filter(window, user_id=user_id)
        for row in stored.only(*_WAITING_COLUMNS):
            yield Play.create(
                waiting_key(row.match_key, row.artist, row.title),
                row.event_id,
                read_reports(row.reports, row.source, row.device, int(row.listened_at.timestamp())),
                source=row.source,
                ms_played=row.ms_played,
                end_reason=row.end_reason,
                duration_ms=row.duration_ms,
                pk=row.pk,
            )


def _time_windows(column: str, starts: Iterable[int], *, before: int, after: int) -> Iterator[Q]:
    """Yield conditions that a time is near one of `starts`, in UNIX seconds, at most WINDOWS_PER_QUERY in each.

    Histories are in the order of time, so that a batch of them usually makes one window.
    """
    windows: list[tuple[int, int]] = []
    for start in sorted(starts):
        if windows and start - before <= windows[-1][1] + MERGED_WINDOWS_S:
            windows[-1] = windows[-1][0], start + after
        else:
            windows.append((start - before, start + after))
    for first in range(0, len(windows), WINDOWS_PER_QUERY):
        condition = Q()
        for window in windows[first : first + WINDOWS_PER_QUERY]:
            condition |= Q(**{f"{column}__range": [datetime.fromtimestamp(second, UTC) for second in window]})
        yield condition


def _app_start(played_at: datetime, ms_played: int | None, duration_ms: int | None) -> int:
    """Return when a play of the app began, in UNIX seconds: its event is of its end."""
    return int(played_at.timestamp() - (duration_ms or 0 if ms_played is None else ms_played) / 1000)


def _row_with_reports(play: Play) -> NewInteraction:
    row: NewInteraction = play.row
    reports = _encode_reports(play.reports, row.source, row.device)
    return row if reports is None else row._replace(reports=reports)


def _encode_reports(reports: Sequence[PlayReport], source: str, device: str) -> list[list[Any]] | None:
    """Return the reports as JSON; None for a single one that follows from the other columns."""
    is_implied = len(reports) == 1 and reports[0] == make_report(source, device, reports[0].start)
    return None if is_implied else [list(report) for report in reports]


def _update_reports(model: type[Interaction] | type[UnmatchedListen], plays: Iterable[Play]) -> None:
    rows: list[Any] = [model(pk=play.pk, reports=[list(report) for report in play.reports]) for play in plays]
    model._default_manager.bulk_update(rows, ["reports"], batch_size=BATCH_SIZE)
