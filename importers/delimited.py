"""csv: catalogues and listening histories as comma, semicolon or tab separated text with a header line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from importers.csv_lines import Row, header_cells, separator_of, split_lines
from importers.paths import files_of, total_size
from importers.records import Record
from importers.table import Table, table_of
from importers.text_lines import header_line, numbered_lines

NAMESPACE = ""
FOLDER = ("tracks.csv", "tracks.tsv", "plays.csv", "plays.tsv")


class _Delimited(NamedTuple):
    path: Path
    separator: str
    table: Table

    def rows(self, on_bytes: Callable[[int], None]) -> Iterator[Row]:
        lines = numbered_lines(self.path, "utf-8", on_bytes)
        next(lines)  # the header
        return split_lines(lines, self.separator, len(self.table.header))


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Records of all files, those of tracks first. Raises FormatError before the first record where a file is
    missing or its header will not do."""
    files = sorted((_open(path) for path in files_of(paths, FOLDER)), key=lambda file: file.table.plays)
    seen: set[str] = set()
    return (
        record
        for file in files
        for record in file.table.records(file.rows(on_bytes), file.path.name, namespace, as_of, seen)
    )


def total_bytes(paths: Sequence[Path]) -> int:
    """What the calls of on_bytes add up to."""
    return total_size(files_of(paths, FOLDER))


def _open(path: Path) -> _Delimited:
    header = header_line(path)
    separator = separator_of(header)
    return _Delimited(path, separator, table_of(path, header_cells(header, separator)))
