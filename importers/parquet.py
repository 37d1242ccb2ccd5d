"""parquet: the tables of the csv format as Apache Parquet files, read a batch at a time with pyarrow.

`arrow_columns` converts the cells to text, so that the parsers of csv files read them. pyarrow is an optional
requirement; its types are therefore not imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from importers.arrow_columns import ColumnReader, column_reader, name_unreadable_cell
from importers.columns import ABSENT, PLAY_COLUMNS, TRACK_COLUMNS, TRACK_COLUMNS_IN_PLAYS
from importers.delimited_text import CellRow
from importers.errors import FormatError
from importers.records import Record
from importers.registry import Importer
from importers.tables import DataTable, interpret_header, resolve_files, total_size

FILE_NAMES = ("tracks.parquet", "plays.parquet")
BATCH_SIZE = 4096  # rows held at once
_USED_NAMES = frozenset(
    name
    for columns in (PLAY_COLUMNS, TRACK_COLUMNS, TRACK_COLUMNS_IN_PLAYS)
    for accepted_names in columns.values()
    for name in accepted_names
)


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Stream the records of all files, tracks first; see ReadRecords.

    The line of a refused row is its 1-based number. Raises FormatError before the first record if a file cannot be
    used, and later if it turns out to be damaged.
    """
    tables = [(path, *_open_table(path)) for path in resolve_files(paths, FILE_NAMES)]
    tables.sort(key=lambda entry: entry[2].has_plays)

    def read_tables() -> Iterator[Record]:
        seen_tracks: set[str] = set()
        for path, readers, table in tables:
            rows = _read_rows(path, readers, on_bytes)
            yield from table.parse_rows(rows, path.name, namespace, as_of, seen_tracks)

    return read_tables()


IMPORTER = Importer("parquet", read, total_bytes=lambda paths: total_size(resolve_files(paths, FILE_NAMES)))


def import_pyarrow() -> Any:
    """Return pyarrow. Raises FormatError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FormatError(
            "Parquet files need pyarrow, which is not installed; pip install -r requirements-parquet.txt"
        ) from error
    return pyarrow


def open_parquet(path: Path) -> Any:
    """Return the ParquetFile, a context manager. Raises FormatError."""
    pyarrow = import_pyarrow()
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise FormatError(f"{path}: this is not a Parquet file ({reason}); give a Parquet file") from error


def _open_table(path: Path) -> tuple[dict[str, ColumnReader], DataTable]:
    """Return the columns that are read, as the file names them, with their readers; and the table that they make."""
    pyarrow = import_pyarrow()
    with open_parquet(path) as file:
        fields = [field for field in file.schema_arrow if field.name.strip().lower() in _USED_NAMES]
    table = interpret_header(path, [field.name.strip().lower() for field in fields])
    # Columns that other columns take precedence of are not read, so their types do not matter.
    used = sorted({*table.play_columns.values(), *table.track_columns.values()} - {ABSENT})
    fields, header = [fields[index] for index in used], [table.header[index] for index in used]
    readers = {
        field.name: column_reader(pyarrow, f"{path}: the column {field.name}", name, field.type)
        for field, name in zip(fields, header, strict=True)
    }
    return readers, interpret_header(path, header)


def _read_rows(path: Path, readers: Mapping[str, ColumnReader], on_bytes: Callable[[int], None]) -> Iterator[CellRow]:
    names, row_number = list(readers), 0
    for batch in read_batches(path, names, on_bytes):
        texts = [read_column(batch.column(name)) for name, read_column in readers.items()]
        for cells in zip(*texts, strict=True):
            row_number += 1
            if reason := name_unreadable_cell(names, cells):
                yield row_number, None, reason
            else:
                yield row_number, [cell or "" for cell in cells], ""


def read_batches(
    path: Path, columns: Sequence[str], on_bytes: Callable[[int], None], batch_size: int = BATCH_SIZE
) -> Iterator[Any]:
    """Yield Arrow record batches of the columns. Raises FormatError if the file turns out to be damaged."""
    pyarrow = import_pyarrow()
    row_number = 0
    with open_parquet(path) as file:
        # pyarrow does not say how many bytes a batch took: every batch reports an equal share of the file.
        size, batch_count = path.stat().st_size, max(1, -(-file.metadata.num_rows // batch_size))
        shares = (after - before for before, after in pairwise(size * n // batch_count for n in range(batch_count + 1)))
        batches = file.iter_batches(batch_size, columns=columns)
        while True:
            try:
                batch = next(batches, None)
            except (pyarrow.ArrowException, OSError) as error:
                reason = str(error).splitlines()[0][:200]
                raise FormatError(
                    f"{path}: damaged after row {row_number} ({reason}); the rows before it were read; get the file "
                    "again"
                ) from error
            if batch is None:
                break
            row_number += batch.num_rows
            yield batch
            on_bytes(next(shares, 0))
        on_bytes(sum(shares))
