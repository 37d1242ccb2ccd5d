"""Cells of a row → records. The row functions of every format that has columns, whatever the file they came from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from importers import cell_parsers
from importers.cell_parsers import MAX_ID_LENGTH, MAX_INTEGER, MAX_LABEL_LENGTH
from importers.columns import ABSENT, Positions
from importers.csv_lines import Row
from importers.errors import BadValue
from importers.play_signals import infer_completion, play_event_id
from importers.records import PlayRecord, Record, RefusedRow
from importers.track_rows import TrackRows

_KINDS = {"": "play", "play": "play", "like": "like"}


class PlayRows:
    """Reads the rows of one file of plays. Cells end with the empty one that ABSENT points to."""

    def __init__(self, at: Positions, file: str, namespace: str, as_of: int) -> None:
        self.file, self.namespace, self.as_of = file, namespace, as_of
        self.prefix = f"{namespace}:" if namespace else ""
        self.latest = as_of + cell_parsers.CLOCK_TOLERANCE
        self.user, self.track, self.time, self.plays, self.kind = (
            at.get(field, ABSENT) for field in ("user", "track", "time", "plays", "kind")
        )
        self.session, self.device, self.context, self.event_id = (
            at.get(field, ABSENT) for field in ("session", "device", "context", "event_id")
        )
        # `untold`: what is the same for all rows of a file that does not say how much was heard.
        self.hearing = [at.get(field, ABSENT) for field in ("ms_played", "milestone", "is_completed", "duration_ms")]
        told = any(position != ABSENT for position in self.hearing[:3])
        self.untold = (
            {} if told else {kind: (None, *infer_completion(kind, None, None, None)) for kind in _KINDS.values()}
        )

    def read(self, cells: list[str], line: int) -> PlayRecord:
        """Raises BadValue."""
        user = f"{self.prefix}{cells[self.user].strip()}"
        track = f"{self.prefix}{cells[self.track].strip()}"
        if not len(self.prefix) < len(user) <= MAX_ID_LENGTH or not len(self.prefix) < len(track) <= MAX_ID_LENGTH:
            self._refuse_ids(cells)
        time = cell_parsers.parse_time("time", cells[self.time], self.latest) if self.time != ABSENT else self.as_of
        plays = 1 if cells[self.plays] in ("1", "") else cell_parsers.parse_integer("plays", cells[self.plays], 1) or 1
        kind = _KINDS.get(cells[self.kind]) or self._kind(cells[self.kind])
        ms_played, milestone, is_completed = self.untold.get(kind) or self._heard(cells, kind)
        own_id = cells[self.event_id] and cell_parsers.parse_uuid_bytes("event_id", cells[self.event_id])
        return PlayRecord._make(  # a third of the time of PlayRecord(...), in the one place that makes millions
            (
                user,
                track,
                time,
                plays,
                kind,
                ms_played,
                milestone,
                is_completed,
                cells[self.session] and cell_parsers.parse_text("session", cells[self.session], MAX_LABEL_LENGTH),
                cells[self.device] and cell_parsers.parse_text("device", cells[self.device], MAX_LABEL_LENGTH),
                cells[self.context] and cell_parsers.parse_text("context", cells[self.context], MAX_LABEL_LENGTH),
                own_id or play_event_id(self.namespace, user, track, None if self.time == ABSENT else time, kind),
                self.file,
                line,
            )
        )

    def _refuse_ids(self, cells: list[str]) -> None:
        for field, position in (("user", self.user), ("track", self.track)):
            cell_parsers.parse_required_text(field, cells[position], MAX_ID_LENGTH - len(self.prefix))

    def _kind(self, value: str) -> str:
        kind = _KINDS.get(value.strip().lower())
        if kind is None:
            raise BadValue("kind", value.strip(), "play or like")
        return kind

    def _heard(self, cells: list[str], kind: str) -> tuple[int | None, int, bool]:
        ms_played, milestone, is_completed, duration_ms = self.hearing
        ms = cell_parsers.parse_integer("ms_played", cells[ms_played], 0)
        percent = cell_parsers.parse_integer("milestone", cells[milestone], 0, 100)
        completed = cell_parsers.parse_boolean("is_completed", cells[is_completed])
        duration = cell_parsers.parse_integer("duration_ms", cells[duration_ms], 1, MAX_INTEGER)
        return ms, *infer_completion(kind, ms, percent, completed, duration)


def plays_of(rows: Iterable[Row], reader: PlayRows, catalogue: TrackRows | None, seen: set[str]) -> Iterator[Record]:
    """Plays and refusals in the order of the rows. Where rows also tell of their track (`catalogue`), a track not in
    `seen` comes right before its first play; a row that leaves title or artist empty tells nothing."""
    for line, cells, fault in rows:
        if cells is None:
            yield RefusedRow(reader.file, line, fault)
            continue
        cells.append("")
        try:
            play = reader.read(cells, line)
            track = None
            if catalogue is not None and play.track not in seen and catalogue.tells(cells):
                track = catalogue.read(cells, line)
        except BadValue as bad:
            yield RefusedRow(reader.file, line, str(bad))
            continue
        if track is not None:
            seen.add(play.track)
            yield track
        yield play


def tracks_of(rows: Iterable[Row], reader: TrackRows, seen: set[str]) -> Iterator[Record]:
    """Tracks and refusals in the order of the rows."""
    for line, cells, fault in rows:
        if cells is None:
            yield RefusedRow(reader.file, line, fault)
            continue
        cells.append("")
        try:
            track = reader.read(cells, line)
        except BadValue as bad:
            yield RefusedRow(reader.file, line, str(bad))
            continue
        seen.add(track.external_id)
        yield track
