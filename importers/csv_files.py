"""csv: catalogues and listening histories as comma, semicolon or tab separated text with a header line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from importers.delimited_text import detect_separator, read_header_line, read_rows, split_header
from importers.records import Record
from importers.registry import Importer
from importers.tables import interpret_header, resolve_files, total_size

FILE_NAMES = ("tracks.csv", "tracks.tsv", "plays.csv", "plays.tsv")


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Stream the records of all files, tracks first; see ReadRecords.

    Raises FormatError before the first record if a file is missing or lacks a required column.
    """
    tables = []
    for path in resolve_files(paths, FILE_NAMES):
        header = read_header_line(path)
        separator = detect_separator(header)
        tables.append((path, separator, interpret_header(path, split_header(header, separator))))
    tables.sort(key=lambda entry: entry[2].has_plays)

    def read_tables() -> Iterator[Record]:
        seen_tracks: set[str] = set()
        for path, separator, table in tables:
            rows = read_rows(path, separator, len(table.header), on_bytes)
            yield from table.parse_rows(rows, path.name, namespace, as_of, seen_tracks)

    return read_tables()


IMPORTER = Importer("csv", read, total_bytes=lambda paths: total_size(resolve_files(paths, FILE_NAMES)))
