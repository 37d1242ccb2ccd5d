"""A table with a header, of plays or of tracks: what its columns mean, and its records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from importers.columns import ABSENT, PLAY, TRACK, TRACK_IN_PLAYS, Positions, are_plays, missing, positions
from importers.csv_lines import Row
from importers.errors import FormatError
from importers.play_rows import PlayRows, plays_of, tracks_of
from importers.records import Record
from importers.track_rows import TrackRows


@dataclass(frozen=True)
class Table:
    """header: names of its columns in lower case · play, track: where each field stands; play is empty for a table
    of tracks, track for one of plays that says nothing of the tracks."""

    header: Sequence[str]
    play: Positions
    track: Positions

    @property
    def plays(self) -> bool:
        return bool(self.play)

    def records(self, rows: Iterable[Row], file: str, namespace: str, as_of: int, seen: set[str]) -> Iterator[Record]:
        """seen: ids of the tracks that were yielded, shared by all files of one import."""
        catalogue = TrackRows(self.track, file, namespace) if self.track else None
        if self.play:
            return plays_of(rows, PlayRows(self.play, file, namespace, as_of), catalogue, seen)
        return tracks_of(rows, TrackRows(self.track, file, namespace), seen)


def table_of(path: Path, header: Sequence[str]) -> Table:
    """Raises FormatError where a column that must be there is not, or a name stands twice."""
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise FormatError(f"{path}: the header names {', '.join(twice)} more than once; rename or remove one")
    return _of_plays(path, header) if are_plays(header) else _of_tracks(path, header)


def _of_plays(path: Path, header: Sequence[str]) -> Table:
    play, track = positions(header, PLAY), positions(header, TRACK_IN_PLAYS)
    if lacking := missing(play, PLAY, ["track"]):
        raise FormatError(f"{path}: a file of plays needs a column {lacking[0]}; its header has {_listed(header)}")
    told = track["title"] != ABSENT and track["artist"] != ABSENT
    return Table(header, play, track if told else {})


def _of_tracks(path: Path, header: Sequence[str]) -> Table:
    track = positions(header, TRACK)
    lacking = missing(track, TRACK, ["id"])
    if track["artist_id"] == ABSENT:
        lacking += missing(track, TRACK, ["artist"])
    if lacking:
        raise FormatError(
            f"{path}: a file of tracks needs a column {' and a column '.join(lacking)}, and one of plays a column user "
            f"({', '.join(PLAY['user'])}); its header has {_listed(header)}"
        )
    return Table(header, {}, track)


def _listed(header: Sequence[str]) -> str:
    names = ", ".join(name or "(no name)" for name in header[:20])
    return names if len(names) <= 200 else f"{names[:199]}…"
