"""parquet: the tables of the csv format as Apache Parquet, read a batch at a time with pyarrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from importers.arrow import text_columns
from importers.columns import PLAY, TRACK, TRACK_IN_PLAYS
from importers.csv_lines import Row
from importers.errors import FormatError
from importers.paths import files_of, total_size
from importers.records import Record
from importers.table import Table, table_of

NAMESPACE = ""
FOLDER = ("tracks.parquet", "plays.parquet")
BATCH = 4096  # rows held at once
_KNOWN = frozenset(name for names in (PLAY, TRACK, TRACK_IN_PLAYS) for field in names.values() for name in field)


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Records of all files, those of tracks first; a refusal's line is the 1-based number of the row. Raises
    FormatError before the first record where a file will not do, and later where it turns out to be damaged."""
    tables = [(path, *_open(path)) for path in files_of(paths, FOLDER)]
    seen: set[str] = set()
    return (
        record
        for path, columns, table in sorted(tables, key=lambda opened: opened[2].plays)
        for record in table.records(_rows(path, columns, on_bytes), path.name, namespace, as_of, seen)
    )


def total_bytes(paths: Sequence[Path]) -> int:
    """What the calls of on_bytes add up to."""
    return total_size(files_of(paths, FOLDER))


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FormatError(
            "Parquet files need pyarrow, which is not installed; pip install -r requirements-parquet.txt"
        ) from error
    return pyarrow


def _file(path: Path) -> Any:
    pyarrow = _pyarrow()
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise FormatError(f"{path}: this is not a Parquet file ({reason}); give a Parquet file") from error


def _open(path: Path) -> tuple[list[str], Table]:
    """The names of the columns that mean something, as the file writes them, and the table they make."""
    with _file(path) as file:
        names = [str(name) for name in file.schema_arrow.names]
    known = [name for name in names if name.strip().lower() in _KNOWN]
    return known, table_of(path, [name.strip().lower() for name in known])


def _rows(path: Path, columns: Sequence[str], on_bytes: Callable[[int], None]) -> Iterator[Row]:
    number = 0
    with _file(path) as file:
        shares = _shares(path.stat().st_size, file.metadata.num_rows)
        batches = file.iter_batches(BATCH, columns=list(columns))
        while (batch := _next(path, batches, number)) is not None:
            for cells in zip(*text_columns(batch, columns), strict=True):
                number += 1
                yield _row(number, cells)
            on_bytes(next(shares, 0))
        on_bytes(sum(shares))


def _next(path: Path, batches: Iterator[Any], number: int) -> Any:
    try:
        return next(batches, None)
    except (_pyarrow().ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise FormatError(
            f"{path}: damaged after row {number} ({reason}); the rows before it were read; get the file again"
        ) from error


def _shares(size: int, rows: int) -> Iterator[int]:
    """The bytes of the file, dealt out to its batches."""
    batches = max(1, -(-rows // BATCH))
    return (after - before for before, after in pairwise(size * n // batches for n in range(batches + 1)))


def _row(number: int, cells: Sequence[str | None]) -> Row:
    joined = "\n".join(cell or "" for cell in cells)
    if "\0" in joined:
        return number, None, "row: contains a NUL character"
    if not joined.isascii() and any("\ud800" <= letter <= "\udfff" for letter in joined):
        return number, None, "row: contains bytes that are not UTF-8"
    return number, [cell or "" for cell in cells], ""
