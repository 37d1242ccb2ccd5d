"""30music: play events of the 30Music data set as tab-separated text; users, sessions, tracks, artists are numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers.columns import Names, missing, positions
from importers.csv_lines import header_cells, split_lines
from importers.errors import FormatError
from importers.paths import files_of, total_size
from importers.records import Record
from importers.table import Table
from importers.text_lines import header_line, numbered_lines

NAMESPACE = "30music"
FOLDER = ("events.tsv",)
_PLAY: Names = {"user": ("user",), "track": ("track",), "time": ("ts",), "session": ("session",)}
_TRACK: Names = {"id": ("track",), "artist_id": ("artist",)}


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Each track, as `Track <id>` by `Artist <id>`, right before its first play. Raises FormatError at once."""
    tables = [(path, _table(path)) for path in files_of(paths, FOLDER)]
    seen: set[str] = set()
    return (record for path, table in tables for record in _records(path, table, namespace, as_of, on_bytes, seen))


def total_bytes(paths: Sequence[Path]) -> int:
    """What the calls of on_bytes add up to."""
    return total_size(files_of(paths, FOLDER))


def _table(path: Path) -> Table:
    header = header_cells(header_line(path), "\t")
    play, track = positions(header, _PLAY), positions(header, _TRACK)
    if lacking := missing(play, _PLAY, _PLAY) + missing(track, _TRACK, _TRACK):
        raise FormatError(f"{path}: no column {' and no column '.join(lacking)}; give the tab-separated events.tsv")
    return Table(header, play, track)


def _records(
    path: Path, table: Table, namespace: str, as_of: int, on_bytes: Callable[[int], None], seen: set[str]
) -> Iterator[Record]:
    lines = numbered_lines(path, "utf-8", on_bytes)
    next(lines)  # the header
    rows = split_lines(lines, "\t", len(table.header))
    return table.records(rows, path.name, namespace, as_of, seen)
