"""30music: the 30Music data set as it is published (idomaar files), or its play events as a table of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers.columns import ColumnNames, describe_missing_columns, find_columns
from importers.delimited_text import read_header_line, read_rows, split_header
from importers.errors import FormatError
from importers.idomaar import IdomaarReader, kind_of_file
from importers.records import Record
from importers.registry import Importer
from importers.tables import DataTable, resolve_files, total_size

FILE_NAMES = (
    "events.tsv",
    *(
        f"{folder}{name}.idomaar"
        for folder, names in (
            ("entities/", ("persons", "albums", "tags", "tracks")),
            ("relations/", ("events", "sessions", "love")),
            ("", ("persons", "albums", "tags", "tracks", "events", "sessions", "love")),
        )
        for name in names
    ),
)
_SHOWN_FILE_NAMES = ("relations/events.idomaar", "events.tsv")
_PLAY_COLUMNS: ColumnNames = {"user": ("user",), "track": ("track",), "time": ("ts",), "session": ("session",)}
_TRACK_COLUMNS: ColumnNames = {"id": ("track",), "artist_id": ("artist",)}


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Stream the plays, each track before its first play; see ReadRecords."""
    kinds = _find_files(paths)
    idomaar_files = [path for path, kind in kinds.items() if kind]
    tables = [(path, _interpret_header(path)) for path, kind in kinds.items() if not kind]

    def read_tables() -> Iterator[Record]:
        yield from IdomaarReader(namespace, as_of).read(idomaar_files, on_bytes)
        seen_tracks: set[str] = set()
        for path, table in tables:
            rows = read_rows(path, "\t", len(table.header), on_bytes)
            yield from table.parse_rows(rows, path.name, namespace, as_of, seen_tracks)

    return read_tables()


def _find_files(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the files with the kinds of their lines, "" for tables.

    Sessions repeat the plays of the file of plays; they are read only if there is no such file.
    """
    kinds = {path: kind_of_file(path) for path in resolve_files(paths, FILE_NAMES, _SHOWN_FILE_NAMES)}
    if "event.play" in kinds.values():
        kinds = {path: kind for path, kind in kinds.items() if kind != "event.session"}
    return kinds


def _interpret_header(path: Path) -> DataTable:
    header = split_header(read_header_line(path), "\t")
    play_columns, track_columns = find_columns(header, _PLAY_COLUMNS), find_columns(header, _TRACK_COLUMNS)
    missing = describe_missing_columns(play_columns, _PLAY_COLUMNS, _PLAY_COLUMNS)
    missing += describe_missing_columns(track_columns, _TRACK_COLUMNS, _TRACK_COLUMNS)
    if missing:
        raise FormatError(
            f"{path}: no column {' and no column '.join(missing)}; give the tab-separated events.tsv, or "
            "the idomaar files as they are published"
        )
    return DataTable(header, play_columns, track_columns)


IMPORTER = Importer(
    "30music",
    read,
    total_bytes=lambda paths: total_size(_find_files(paths)),
    namespace="30music",
)
