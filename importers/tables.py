"""Tables of plays or tracks: find the files of an input, interpret their headers, and parse their rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from importers.columns import (
    ABSENT,
    PLAY_COLUMNS,
    TRACK_COLUMNS,
    TRACK_COLUMNS_IN_PLAYS,
    ColumnPositions,
    describe_missing_columns,
    find_columns,
)
from importers.delimited_text import CellRow
from importers.errors import BadValue, FormatError
from importers.play_rows import PlayRowParser
from importers.records import Record, RefusedRow
from importers.track_rows import TrackRowParser


@dataclass(frozen=True)
class DataTable:
    """The header of a file, interpreted.

    Attributes:
        header: the names of the columns, in lower case.
        play_columns: the positions of the fields of a play; empty for a table of tracks.
        track_columns: the positions of the fields of a track; empty for plays that do not describe their tracks.
    """

    header: Sequence[str]
    play_columns: ColumnPositions
    track_columns: ColumnPositions

    @property
    def has_plays(self) -> bool:
        return bool(self.play_columns)

    def parse_rows(
        self, rows: Iterable[CellRow], file: str, namespace: str, as_of: int, seen_tracks: set[str]
    ) -> Iterator[Record]:
        """Yield the records of the rows, in their order.

        Args:
            rows: the rows after the header.
            file: the name of the file, for the records.
            namespace: the prefix of ids; "" for none.
            as_of: the UNIX second of plays that carry no time.
            seen_tracks: the ids of tracks that were yielded; shared by all files of an import, and extended here.
        """
        track_parser = TrackRowParser(self.track_columns, file, namespace)
        play_parser = PlayRowParser(self.play_columns, file, namespace, as_of) if self.has_plays else None
        for line, cells, reason in rows:
            if cells is None:
                yield RefusedRow(file, line, reason)
                continue
            cells.append("")  # the cell that ABSENT refers to
            try:
                play = play_parser.parse(cells, line) if play_parser else None
                track = None
                # A play is preceded by its track the first time that a row names both title and artist.
                if play is None or (
                    self.track_columns and play.track not in seen_tracks and track_parser.describes_track(cells)
                ):
                    track = track_parser.parse(cells, line)
            except BadValue as error:
                yield RefusedRow(file, line, str(error))
                continue
            if track is not None:
                seen_tracks.add(track.external_id)
                yield track
            if play is not None:
                yield play


def interpret_header(path: Path, header: Sequence[str]) -> DataTable:
    """Return the table of a file of plays, which has a column of users, or else of tracks.

    Raises:
        FormatError: a required column is missing, or a column name occurs twice.
    """
    if duplicates := sorted({name for name in header if name and header.count(name) > 1}):
        raise FormatError(f"{path}: the header names {', '.join(duplicates)} more than once; rename or remove one")
    shown_header = ", ".join(name or "(no name)" for name in header[:20])
    if len(shown_header) > 200:
        shown_header = f"{shown_header[:199]}…"

    if any(name in header for name in PLAY_COLUMNS["user"]):
        play_columns, track_columns = find_columns(header, PLAY_COLUMNS), find_columns(header, TRACK_COLUMNS_IN_PLAYS)
        if missing := describe_missing_columns(play_columns, PLAY_COLUMNS, ["track"]):
            raise FormatError(f"{path}: a file of plays needs a column {missing[0]}; its header has {shown_header}")
        has_names = track_columns["title"] != ABSENT and track_columns["artist"] != ABSENT
        return DataTable(header, play_columns, track_columns if has_names else {})

    track_columns = find_columns(header, TRACK_COLUMNS)
    missing = describe_missing_columns(track_columns, TRACK_COLUMNS, ["id"])
    if track_columns["artist_id"] == ABSENT:
        missing += describe_missing_columns(track_columns, TRACK_COLUMNS, ["artist"])
    if missing:
        raise FormatError(
            f"{path}: a file of tracks needs a column {' and a column '.join(missing)}, and one of plays a column user "
            f"({', '.join(PLAY_COLUMNS['user'])}); its header has {shown_header}"
        )
    return DataTable(header, {}, track_columns)


def resolve_files(
    paths: Sequence[Path], known_names: Sequence[str], shown_names: Sequence[str] | None = None
) -> list[Path]:
    """Return the given files and, of each given folder, the files among `known_names`, in that order.

    Args:
        shown_names: the names that messages suggest, if not all of them.

    Raises:
        FormatError: a path does not exist, a folder has none of the files, or there are no paths at all.
    """
    suggestion = " or ".join(shown_names or known_names)
    if not paths:
        raise FormatError(f"no input: name a file, or a folder with {suggestion}")
    files: list[Path] = []
    for path in paths:
        matches = [path / name for name in known_names if (path / name).is_file()] if path.is_dir() else [path]
        if not matches:
            raise FormatError(f"{path}: this folder has no {suggestion}; name the files themselves")
        files += matches
    for file in files:
        if not file.exists():
            raise FormatError(f"{file}: there is no such file; check the path")
    return files


def total_size(files: Iterable[Path]) -> int:
    """Return the number of bytes of all files."""
    return sum(file.stat().st_size for file in files)
