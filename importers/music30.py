"""30music: the play events of the 30Music data set; users, sessions, tracks and artists are numbers without names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers.columns import ColumnNames, describe_missing_columns, find_columns
from importers.delimited_text import read_header_line, read_rows, split_header
from importers.errors import FormatError
from importers.records import Record
from importers.registry import Importer
from importers.tables import Table, resolve_files, total_size

FILE_NAMES = ("events.tsv",)
_PLAY_COLUMNS: ColumnNames = {"user": ("user",), "track": ("track",), "time": ("ts",), "session": ("session",)}
_TRACK_COLUMNS: ColumnNames = {"id": ("track",), "artist_id": ("artist",)}


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Stream the plays, each track (`Track <id>` by `Artist <id>`) before its first play; see ReadRecords."""
    tables = [(path, _interpret_header(path)) for path in resolve_files(paths, FILE_NAMES)]

    def read_tables() -> Iterator[Record]:
        seen_tracks: set[str] = set()
        for path, table in tables:
            rows = read_rows(path, "\t", len(table.header), on_bytes)
            yield from table.parse_rows(rows, path.name, namespace, as_of, seen_tracks)

    return read_tables()


def _interpret_header(path: Path) -> Table:
    header = split_header(read_header_line(path), "\t")
    play_columns, track_columns = find_columns(header, _PLAY_COLUMNS), find_columns(header, _TRACK_COLUMNS)
    missing = describe_missing_columns(play_columns, _PLAY_COLUMNS, _PLAY_COLUMNS)
    missing += describe_missing_columns(track_columns, _TRACK_COLUMNS, _TRACK_COLUMNS)
    if missing:
        raise FormatError(f"{path}: no column {' and no column '.join(missing)}; give the tab-separated events.tsv")
    return Table(header, play_columns, track_columns)


IMPORTER = Importer(
    "30music",
    read,
    total_bytes=lambda paths: total_size(resolve_files(paths, FILE_NAMES)),
    namespace="30music",
)
