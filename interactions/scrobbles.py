"""Store plays that scrobblers and listening histories report, each once, beside the plays that the app reports."""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, TypeVar

from django.db import connection
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

# A play and another report of it are at most this far apart; both may list reports that are off by the tolerance.
NEIGHBOURHOOD_S = 3 * MINUTE_TOLERANCE_S
NEIGHBOURHOOD = timedelta(seconds=NEIGHBOURHOOD_S)
LONGEST_APP_PLAY_S = 3 * 3600  # plays of the app are stored with the time of their end
MERGED_WINDOWS_S = 86_400  # windows of time that are closer together are read as one
WINDOWS_PER_QUERY = 100
BATCH_SIZE = 500
WAITING_BATCH_SIZE = 1_000
Row = TypeVar("Row", NewInteraction, UnmatchedListen)
_COLUMNS = ("pk", "track_id", "played_at", "event_id", "source", "device", "ms_played", "end_reason", "reports")


def record_scrobbles(user_id: int, rows: Sequence[NewInteraction], durations: Mapping[int, int | None]) -> int:
    """Store the plays of one listener that are not stored yet, and return how many.

    The listener's row must be locked, so that no other process stores reports of the same plays at this moment.

    Args:
        rows: the plays, with `reports` if they are not the one that follows from the other columns.
        durations: lengths of their tracks in milliseconds.
    """
    if not rows:
        return 0
    stored = list(_load_plays(user_id, rows, durations))
    single, crowded = _separate_neighbours(rows, stored, attrgetter("track_id"), attrgetter("played_at"))
    index = PlayIndex.of(stored)
    index.record_all(_play_of_interaction(row, durations) for row in crowded)
    replaced = [play for play in index.changed if play.row is not None]
    if replaced:
        Interaction.objects.filter(pk__in=[play.pk for play in replaced]).delete()
        insert_interactions([_row_with_reports(play) for play in replaced])
    _update_reports(Interaction, (play for play in index.changed if play.row is None))
    return insert_interactions([*single, *map(_row_with_reports, index.new)])


def record_waiting_listens(user_id: int, rows: Sequence[UnmatchedListen]) -> int:
    """Store the listens of one listener that have to wait for their tracks and do not wait yet, and return how many.

    The listener's row must be locked, as for `record_scrobbles`.
    """
    if not rows:
        return 0
    stored = list(_load_waiting_listens(user_id, rows))
    single, crowded = _separate_neighbours(rows, stored, _waiting_key, attrgetter("listened_at"))
    index = PlayIndex.of(stored)
    index.record_all(_play_of_waiting_listen(row) for row in crowded)
    replaced = [play for play in index.changed if play.row is not None]
    if replaced:
        UnmatchedListen.objects.filter(pk__in=[play.pk for play in replaced]).delete()
    _update_reports(UnmatchedListen, (play for play in index.changed if play.row is None))
    for play in (*index.new, *replaced):
        play.row.reports = encode_reports(play.reports, play.row.source, play.row.device)
    new_rows = [*single, *(play.row for play in (*index.new, *replaced))]
    new_rows.sort(key=attrgetter("event_id"))  # one order of locks, as in insert_interactions()
    UnmatchedListen.objects.bulk_create(new_rows, batch_size=WAITING_BATCH_SIZE, ignore_conflicts=True)
    return len(single) + len(index.new)


def absorb_scrobbles(rows: Sequence[NewInteraction], durations: Mapping[int, int | None]) -> None:
    """Delete the scrobbles of plays that the app has just reported itself, and list their reports in the app's rows.

    Call it in the transaction that inserted the rows, after the revisions of their listeners were bumped, because that
    locks the listeners.

    Args:
        rows: the inserted rows, of several listeners.
        durations: lengths of their tracks in milliseconds.
    """
    plays = [row for row in rows if row.kind == Interaction.Kind.PLAY and row.clock != Clock.ARRIVAL]
    if not plays or not _may_have_scrobbles(plays):
        return
    starts = [_app_start(row.played_at, row.ms_played, durations.get(row.track_id)) for row in plays]
    users = {row.user_id for row in plays}
    scrobbles: dict[tuple[int, int], list[Play]] = defaultdict(list)
    for window in _time_windows("played_at", starts):
        stored = Interaction.objects.filter(window, user_id__in=users, source__in=SCROBBLE_SOURCES)
        for row in stored.filter(kind=Interaction.Kind.PLAY).values_list("user_id", *_COLUMNS, named=True):
            scrobbles[row.user_id, row.track_id].append(_play_of_interaction(row, durations, row.pk))
    if not scrobbles:
        return
    event_ids = [row.event_id for row in plays if (row.user_id, row.track_id) in scrobbles]
    own = Interaction.objects.filter(user_id__in=users, event_id__in=event_ids, source=APP, kind=Interaction.Kind.PLAY)
    pairs = []
    for row in own.values_list("user_id", *_COLUMNS, named=True):
        play = _play_of_interaction(row, durations, row.pk)
        gaps = ((measure_gap(play, scrobble), scrobble) for scrobble in scrobbles[row.user_id, row.track_id])
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


def _may_have_scrobbles(plays: Sequence[NewInteraction]) -> bool:
    """Return whether these listeners have plays of other sources around the times of these plays of the app.

    Most have none. The SQL is written here because compiling it by the ORM takes ten times as long as all the rest,
    with every batch of events.
    """
    users = list({row.user_id for row in plays})
    times = [row.played_at for row in plays]
    begin, end = min(times) - timedelta(seconds=LONGEST_APP_PLAY_S) - NEIGHBOURHOOD, max(times) + NEIGHBOURHOOD
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT 1 FROM {Interaction._meta.db_table} WHERE user_id IN ({', '.join(['%s'] * len(users))}) "
            f"AND played_at BETWEEN %s AND %s AND source <> %s LIMIT 1",
            [*users, *map(connection.ops.adapt_datetimefield_value, (begin, end)), APP],
        )
        return cursor.fetchone() is not None


def _waiting_key(row: UnmatchedListen) -> str:
    """Return what the track of a waiting listen is recognised by: its names if they cannot be normalised."""
    return row.match_key or f"{row.artist}\0{row.title}"


def _separate_neighbours(
    rows: Iterable[Row],
    stored: Collection[Play],
    get_key: Callable[[Row], Hashable],
    get_time: Callable[[Row], datetime],
) -> tuple[list[Row], list[Row]]:
    """Return the rows without any other report of the same track near them, which need no comparison, and the others.

    Nearly all rows of a first import are alone, and comparing is what takes time.
    """
    stored_keys, stored_ids = {play.key for play in stored}, {play.event_id for play in stored}
    ordered = sorted(rows, key=get_time)
    previous: dict[Hashable, tuple[datetime, int]] = {}
    crowded: set[int] = set()
    for number, row in enumerate(ordered):
        key, time = get_key(row), get_time(row)
        if key in stored_keys or row.event_id in stored_ids:
            crowded.add(number)
        if key in previous and time - previous[key][0] <= NEIGHBOURHOOD:
            crowded |= {number, previous[key][1]}
        previous[key] = time, number
    single = [row for number, row in enumerate(ordered) if number not in crowded]
    return single, [ordered[number] for number in sorted(crowded)]


def _load_plays(user_id: int, rows: Iterable[NewInteraction], durations: Mapping[int, int | None]) -> Iterator[Play]:
    """Yield the stored plays of a listener that these may be reports of."""
    starts = [row.played_at.timestamp() for row in rows]
    stored = Interaction.objects.filter(user_id=user_id, kind=Interaction.Kind.PLAY, plays=1)
    stored = stored.exclude(clock=Clock.ARRIVAL)  # nobody knows when those were played
    for window in _time_windows("played_at", starts, after=LONGEST_APP_PLAY_S):
        for row in stored.filter(window).values_list(*_COLUMNS, named=True):
            yield _play_of_interaction(row, durations, row.pk)


def _play_of_interaction(row: Any, durations: Mapping[int, int | None], pk: int | None = None) -> Play:
    """Return the play of a stored row, or of a new one, which has no primary key."""
    duration_ms = durations.get(row.track_id)
    is_own = row.source == APP
    start = _app_start(row.played_at, row.ms_played, duration_ms) if is_own else int(row.played_at.timestamp())
    return Play.create(
        row.track_id,
        row.event_id,
        _read_reports(row.reports, row.source, row.device, start),
        source=row.source,
        ms_played=row.ms_played,
        end_reason=row.end_reason,
        duration_ms=duration_ms,
        row=row if pk is None else None,
        pk=pk,
    )


def _load_waiting_listens(user_id: int, rows: Iterable[UnmatchedListen]) -> Iterator[Play]:
    for window in _time_windows("listened_at", [row.listened_at.timestamp() for row in rows]):
        for row in UnmatchedListen.objects.filter(window, user_id=user_id):
            yield _play_of_waiting_listen(row)


def _play_of_waiting_listen(row: UnmatchedListen) -> Play:
    return Play.create(
        _waiting_key(row),
        row.event_id,
        _read_reports(row.reports, row.source, row.device, int(row.listened_at.timestamp())),
        source=row.source,
        ms_played=row.ms_played,
        end_reason=row.end_reason,
        duration_ms=row.duration_ms,
        row=row if row.pk is None else None,
        pk=row.pk,
    )


def _time_windows(column: str, starts: Iterable[float], after: int = 0) -> Iterator[Q]:
    """Yield conditions that a time is near one of `starts`, in UNIX seconds, at most WINDOWS_PER_QUERY in each.

    Args:
        after: how much later it may be in addition.

    Histories are in the order of time, so that a batch of them usually makes one window.
    """
    windows: list[tuple[float, float]] = []
    for start in sorted(starts):
        if windows and start - NEIGHBOURHOOD_S <= windows[-1][1] + MERGED_WINDOWS_S:
            windows[-1] = windows[-1][0], start + NEIGHBOURHOOD_S + after
        else:
            windows.append((start - NEIGHBOURHOOD_S, start + NEIGHBOURHOOD_S + after))
    for first in range(0, len(windows), WINDOWS_PER_QUERY):
        condition = Q()
        for window in windows[first : first + WINDOWS_PER_QUERY]:
            condition |= Q(**{f"{column}__range": [datetime.fromtimestamp(second, UTC) for second in window]})
        yield condition


def _app_start(played_at: datetime, ms_played: int | None, duration_ms: int | None) -> int:
    """Return when a play of the app began, in UNIX seconds: its event is of its end."""
    return int(played_at.timestamp() - (duration_ms or 0 if ms_played is None else ms_played) / 1000)


def _read_reports(stored: list[list[Any]] | None, source: str, device: str, start: int) -> list[PlayReport]:
    """Return the reports in the column of a row, or the only one, which follows from the other columns."""
    return [PlayReport(*report) for report in stored] if stored else [make_report(source, device, start)]


def _row_with_reports(play: Play) -> NewInteraction:
    row: NewInteraction = play.row
    reports = encode_reports(play.reports, row.source, row.device)
    return row if reports is None else row._replace(reports=reports)


def encode_reports(reports: Sequence[PlayReport], source: str, device: str) -> list[list[Any]] | None:
    """Return the reports as JSON; None for a single one that follows from the other columns."""
    is_implied = len(reports) == 1 and reports[0] == make_report(source, device, reports[0].start)
    return None if is_implied else [list(report) for report in reports]


def _update_reports(model: type[Interaction] | type[UnmatchedListen], plays: Iterable[Play]) -> None:
    rows: list[Any] = [model(pk=play.pk, reports=[list(report) for report in play.reports]) for play in plays]
    model._default_manager.bulk_update(rows, ["reports"], batch_size=BATCH_SIZE)
