"""Recognise several reports of one play, so that it counts once whatever services report it, and in whatever order.

Services disagree about when a play began: some write minutes only, some the time at which they were told. So two
reports of the same listener and track are of one play if their times are close; `measure_gap` has the rule.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from importers.histories import HISTORY_IMPORTERS
from interactions.events.playback import SKIP_MS
from interactions.models import Interaction

APP = "api"  # the source of plays that the app reports itself, with ids of their own
LISTENBRAINZ = "listenbrainz"
SCROBBLE_SOURCES = frozenset({LISTENBRAINZ, *(f"import:{name}" for name in HISTORY_IMPORTERS)})
# Sources that send a listen only if half of the track, or four minutes of it, were heard.
_LISTEN_FORMATS = [importer.name for importer in HISTORY_IMPORTERS.values() if importer.lists_scrobbles]
LISTEN_SOURCES = frozenset({LISTENBRAINZ, *(f"import:{name}" for name in _LISTEN_FORMATS)})
_SOURCES_WITH_SECONDS = frozenset({APP, LISTENBRAINZ, "import:listenbrainz", "import:spotify"})
_SOURCES_OF_MANY_CLIENTS = frozenset({LISTENBRAINZ, "import:listenbrainz"})
MINUTE_S = 60
TOLERANCE_S, MINUTE_TOLERANCE_S = 60, 90
BY_MINUTE = " by minute"
MAX_REPORTS = 20  # of one play; further ones are not listed


class PlayReport(NamedTuple):
    """The report of a play by one service.

    Attributes:
        channel: the service, with what tells its reports of one play apart: two reports of one channel are of two plays
            unless they have the same time.
        start: when the play began, in UNIX seconds.
    """

    channel: str
    start: int


def make_report(source: str, device: str, start: int, precision: int = 1) -> PlayReport:
    """Return a report.

    Args:
        source: as in `interactions.source`.
        device: the player or scrobbler.
        start: when the play began, in UNIX seconds.
        precision: 60 if the service writes minutes only, in seconds. A whole minute of a source that does not always
            write seconds is taken for such a time as well.
    """
    if precision >= MINUTE_S or (source not in _SOURCES_WITH_SECONDS and start % MINUTE_S == 0):
        return PlayReport(source + BY_MINUTE, start)
    return PlayReport(f"{source} {device}".rstrip() if source in _SOURCES_OF_MANY_CLIENTS else source, start)


@dataclass(slots=True, eq=False)
class Play:
    """A play and the reports of it.

    Attributes:
        key: the track, or what it is recognised by while the catalogue lacks it.
        event_id: of the best report, which is the one that is stored.
        rank: of the best report; the lowest is the best.
        is_brief: whether it was broken off within 30 seconds; None if unknown.
        duration_ms: the length of the track, None if unknown.
        row: the best report as a row to insert; None for the row that is stored.
        pk: the primary key of the stored row; None for a new play.
    """

    key: Hashable
    event_id: UUID
    reports: list[PlayReport]
    rank: tuple[Any, ...]
    is_brief: bool | None
    duration_ms: int | None
    row: Any = None
    pk: int | None = None

    @classmethod
    def create(
        cls,
        key: Hashable,
        event_id: UUID,
        reports: Sequence[PlayReport],
        *,
        source: str,
        ms_played: int | None,
        end_reason: str,
        duration_ms: int | None,
        row: Any = None,
        pk: int | None = None,
    ) -> "Play":
        """Create a play from one row and its reports, of which the first is the row's own."""
        channel, start = reports[0]
        if ms_played is not None:
            is_brief: bool | None = ms_played < SKIP_MS
        else:
            is_brief = False if source in LISTEN_SOURCES and end_reason != Interaction.EndReason.SKIPPED else None
        # What the app says is never replaced, and neither is a play of a data set, whose id tells the next import that
        # it is stored. Otherwise the best report is the one that says most, and any fixed order makes the result
        # independent of the order of arrival.
        rank = (
            source in SCROBBLE_SOURCES,
            ms_played is None,
            _is_by_minute(reports[0]),
            -(ms_played or 0),
            channel,
            start,
            event_id,
        )
        return cls(key, event_id, list(reports), rank, is_brief, duration_ms, row, pk)


@dataclass
class PlayIndex:
    """Plays that are stored or about to be stored, found by track and time.

    Attributes:
        new: plays to insert.
        changed: stored plays with further reports, or with a better one, which is then their `row`.
    """

    new: list[Play] = field(default_factory=list)
    changed: set[Play] = field(default_factory=set)
    _by_event_id: dict[UUID, Play] = field(default_factory=dict)
    _by_time: dict[tuple[Hashable, int], list[Play]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, stored: Iterable[Play]) -> "PlayIndex":
        index = cls()
        for play in stored:
            index._add(play, play.reports)
        return index

    def record_all(self, plays: Iterable[Play]) -> None:
        """Add plays that are reported, or their reports to the plays that they are of."""
        for play in sorted(plays, key=lambda play: (play.reports[0].start, play.rank)):
            self._record(play)

    def _record(self, play: Play) -> None:
        target = self._by_event_id.get(play.event_id) or self._find(play)
        if target is None:
            self.new.append(play)
            self._add(play, play.reports)
            return
        if target.key != play.key:  # stored when the catalogue had another track for it
            return
        is_better = play.rank < target.rank
        best, other = (play, target) if is_better else (target, play)
        channels = {report.channel for report in best.reports}
        reports = best.reports + [report for report in other.reports if report.channel not in channels]
        reports = reports[:MAX_REPORTS]
        if is_better:
            target.event_id, target.rank, target.is_brief, target.row = (
                play.event_id,
                play.rank,
                play.is_brief,
                play.row,
            )
        if target.pk is not None and (is_better or reports != target.reports):
            self.changed.add(target)
        self._add(target, [report for report in reports if report not in target.reports])
        target.reports = reports

    def _add(self, play: Play, reports: Iterable[PlayReport]) -> None:
        self._by_event_id[play.event_id] = play
        for report in reports:
            self._by_time[play.key, report.start // MINUTE_TOLERANCE_S].append(play)

    def _find(self, play: Play) -> Play | None:
        """Return the nearest play that this one is a report of."""
        nearest: tuple[int, int] | None = None
        found = None
        for report in play.reports:
            bucket = report.start // MINUTE_TOLERANCE_S
            for neighbour in (bucket - 1, bucket, bucket + 1):
                for other in self._by_time.get((play.key, neighbour), ()):
                    gap = measure_gap(play, other)
                    if gap is not None and (nearest is None or (gap, other.reports[0].start) < nearest):
                        nearest, found = (gap, other.reports[0].start), other
        return found


def measure_gap(one: Play, other: Play) -> int | None:
    """Return how many seconds apart the reports of two plays of a track are, or None if they are different plays.

    Two plays are the same if their reports are at most a minute apart, or 90 seconds if one of them has whole minutes
    only, and less than half the length of the track, so that a track that is repeated counts each time. Reports of one
    channel are of different plays unless their times are equal. A play that was broken off within 30 seconds is not the
    same as one that was not.
    """
    starts = dict(other.reports)
    for channel, start in one.reports:
        if channel in starts:
            return 0 if start == starts[channel] else None
    if one.is_brief is not None and other.is_brief is not None and one.is_brief != other.is_brief:
        return None
    shortest_ms = min((play.duration_ms for play in (one, other) if play.duration_ms), default=0)
    largest = 0
    for report in one.reports:
        for reference in other.reports:
            gap = abs(report.start - reference.start)
            has_minutes = _has_whole_minute(report) or _has_whole_minute(reference)
            if gap > (MINUTE_TOLERANCE_S if has_minutes else TOLERANCE_S) or (
                shortest_ms and gap * 2000 >= shortest_ms
            ):
                return None
            largest = max(largest, gap)
    return largest


def _has_whole_minute(report: PlayReport) -> bool:
    return report.start % MINUTE_S == 0 or _is_by_minute(report)


def _is_by_minute(report: PlayReport) -> bool:
    return report.channel.endswith(BY_MINUTE)
