"""Parse a row of cells into a play."""

from __future__ import annotations

from importers.cell_parsers import (
    CLOCK_TOLERANCE,
    MAX_ID_LENGTH,
    MAX_LABEL_LENGTH,
    parse_boolean,
    parse_id,
    parse_integer,
    parse_optional_id,
    parse_time,
    parse_uuid_bytes,
    strip_missing,
)
from importers.columns import ABSENT, ColumnPositions
from importers.errors import BadValue
from importers.records import PlayRecord, play_event_id

_KINDS = {"": "play", "play": "play", "like": "like"}


class PlayRowParser:
    """Parser of the rows of one file of plays.

    Args:
        columns: the positions of the fields. Rows must end with the empty cell that ABSENT refers to.
        file: the name of the file, for the records.
        namespace: the prefix of ids; "" for none.
        as_of: the UNIX second of plays that carry no time.
    """

    def __init__(self, columns: ColumnPositions, file: str, namespace: str, as_of: int) -> None:
        self.file, self.namespace, self.as_of = file, namespace, as_of
        self.prefix = f"{namespace}:" if namespace else ""
        self.max_id_length = MAX_ID_LENGTH - len(self.prefix)
        self.latest = as_of + CLOCK_TOLERANCE
        self.user, self.track, self.time, self.plays, self.kind = (
            columns.get(field, ABSENT) for field in ("user", "track", "time", "plays", "kind")
        )
        self.session, self.device, self.context, self.event_id = (
            columns.get(field, ABSENT) for field in ("session", "device", "context", "event_id")
        )
        self.ms_played, self.milestone, self.is_completed, self.duration_ms = (
            columns.get(field, ABSENT) for field in ("ms_played", "milestone", "is_completed", "duration_ms")
        )
        # In a file that does not say how much was heard, the answer is the same for all rows of a kind.
        self.constant_completion: dict[str, tuple[int | None, int, bool]] = {}
        if self.ms_played == self.milestone == self.is_completed == ABSENT:
            self.constant_completion = {
                kind: (None, *infer_completion(kind, None, None, None)) for kind in _KINDS.values()
            }

    def parse(self, cells: list[str], line: int) -> PlayRecord:
        """Return the play of a row. Raises BadValue."""
        user = f"{self.prefix}{parse_id('user', cells[self.user], self.max_id_length)}"
        track = f"{self.prefix}{parse_id('track', cells[self.track], self.max_id_length)}"
        time = parse_time("time", cells[self.time], self.latest) if self.time != ABSENT else self.as_of
        plays = 1 if cells[self.plays] in ("1", "") else parse_integer("plays", cells[self.plays], 1) or 1
        kind = _KINDS.get(cells[self.kind]) or _parse_kind(cells[self.kind])
        ms_played, milestone, is_completed = self.constant_completion.get(kind) or self._parse_completion(cells, kind)
        file_event_id = cells[self.event_id] and parse_uuid_bytes("event_id", cells[self.event_id])
        # Files have millions of plays, and _make takes a third of the time of PlayRecord(...).
        return PlayRecord._make(
            (
                user,
                track,
                time,
                plays,
                kind,
                ms_played,
                milestone,
                is_completed,
                cells[self.session] and parse_optional_id("session", cells[self.session], MAX_LABEL_LENGTH),
                cells[self.device] and parse_optional_id("device", cells[self.device], MAX_LABEL_LENGTH),
                cells[self.context] and parse_optional_id("context", cells[self.context], MAX_LABEL_LENGTH),
                file_event_id
                or play_event_id(self.namespace, user, track, None if self.time == ABSENT else time, kind),
                self.file,
                line,
            )
        )

    def _parse_completion(self, cells: list[str], kind: str) -> tuple[int | None, int, bool]:
        """Return ms_played, milestone and is_completed."""
        ms_played = parse_integer("ms_played", cells[self.ms_played], 0)
        milestone = parse_integer("milestone", cells[self.milestone], 0, 100)
        is_completed = parse_boolean("is_completed", cells[self.is_completed])
        duration_ms = parse_integer("duration_ms", cells[self.duration_ms], 1)
        return ms_played, *infer_completion(kind, ms_played, milestone, is_completed, duration_ms)


def infer_completion(
    kind: str, ms_played: int | None, milestone: int | None, is_completed: bool | None, duration_ms: int | None = None
) -> tuple[int, bool]:
    """Return `(milestone, is_completed)`: percent heard, and whether the track was heard to the end.

    A play that carries none of ms_played, milestone and is_completed counts as heard to the end, since its source
    counted it as a listen; a like is not a listen. Otherwise a missing milestone is 100 for a completed play, else the
    share of duration_ms that ms_played is, else 0; and a missing is_completed is whether the milestone is 100.
    """
    if ms_played is None and milestone is None and is_completed is None:
        return (100, True) if kind == "play" else (0, False)
    if milestone is None:
        if is_completed:
            milestone = 100
        elif ms_played is not None and duration_ms:
            milestone = min(100, 100 * ms_played // duration_ms)
        else:
            milestone = 0
    return milestone, milestone == 100 if is_completed is None else is_completed


def _parse_kind(value: str) -> str:
    value = strip_missing(value)
    kind = _KINDS.get(value.lower())
    if kind is None:
        raise BadValue("kind", value, "play or like")
    return kind
