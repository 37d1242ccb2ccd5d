"""parquet: the tables of the csv format as Apache Parquet files, read a batch at a time with pyarrow.

Cells are converted to the text that a csv file would hold, so that the same parsers read both formats. pyarrow is an
optional requirement; its types are therefore not imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from importers.columns import PLAY_COLUMNS, TRACK_COLUMNS, TRACK_COLUMNS_IN_PLAYS
from importers.delimited_text import CellRow
from importers.errors import FormatError
from importers.records import Record
from importers.registry import Importer
from importers.tables import Table, interpret_header, resolve_files, total_size

FILE_NAMES = ("tracks.parquet", "plays.parquet")
BATCH_SIZE = 4096  # rows held at once
_USED_NAMES = frozenset(
    name
    for columns in (PLAY_COLUMNS, TRACK_COLUMNS, TRACK_COLUMNS_IN_PLAYS)
    for accepted_names in columns.values()
    for name in accepted_names
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = "\udcff"  # a lone surrogate: the row is refused as text that is not UTF-8


def read(paths: Sequence[Path], *, namespace: str, as_of: int, on_bytes: Callable[[int], None]) -> Iterator[Record]:
    """Stream the records of all files, tracks first; see ReadRecords.

    The line of a refused row is its 1-based number. Raises FormatError before the first record if a file cannot be
    used, and later if it turns out to be damaged.
    """
    tables = [(path, *_open_table(path)) for path in resolve_files(paths, FILE_NAMES)]
    tables.sort(key=lambda entry: entry[2].has_plays)

    def read_tables() -> Iterator[Record]:
        seen_tracks: set[str] = set()
        for path, columns, table in tables:
            rows = _read_rows(path, columns, on_bytes)
            yield from table.parse_rows(rows, path.name, namespace, as_of, seen_tracks)

    return read_tables()


IMPORTER = Importer("parquet", read, total_bytes=lambda paths: total_size(resolve_files(paths, FILE_NAMES)))


def _import_pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FormatError(
            "Parquet files need pyarrow, which is not installed; pip install -r requirements-parquet.txt"
        ) from error
    return pyarrow


def _open_file(path: Path) -> Any:
    """Return the ParquetFile, a context manager."""
    pyarrow = _import_pyarrow()
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise FormatError(f"{path}: this is not a Parquet file ({reason}); give a Parquet file") from error


def _open_table(path: Path) -> tuple[list[str], Table]:
    """Return the columns with a meaning, as the file names them, and the table that they make."""
    with _open_file(path) as file:
        names = [str(name) for name in file.schema_arrow.names]
    columns = [name for name in names if name.strip().lower() in _USED_NAMES]
    return columns, interpret_header(path, [name.strip().lower() for name in columns])


def _read_rows(path: Path, columns: Sequence[str], on_bytes: Callable[[int], None]) -> Iterator[CellRow]:
    pyarrow = _import_pyarrow()
    row_number = 0
    with _open_file(path) as file:
        # pyarrow does not say how many bytes a batch took: every batch reports an equal share of the file.
        size, batch_count = path.stat().st_size, max(1, -(-file.metadata.num_rows // BATCH_SIZE))
        shares = (after - before for before, after in pairwise(size * n // batch_count for n in range(batch_count + 1)))
        batches = file.iter_batches(BATCH_SIZE, columns=list(columns))
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
            texts = [_column_texts(pyarrow, batch.column(batch.schema.get_field_index(name))) for name in columns]
            for cells in zip(*texts, strict=True):
                row_number += 1
                yield _check_cells(row_number, cells)
            on_bytes(next(shares, 0))
        on_bytes(sum(shares))


def _check_cells(row_number: int, cells: Sequence[str | None]) -> CellRow:
    joined = "\n".join(cell or "" for cell in cells)
    if "\0" in joined:
        return row_number, None, "row: contains a NUL character"
    if not joined.isascii() and any("\ud800" <= character <= "\udfff" for character in joined):
        return row_number, None, "row: contains bytes that are not UTF-8"
    return row_number, [cell or "" for cell in cells], ""


def _column_texts(pyarrow: Any, column: Any) -> list[str | None]:
    """Return the cells of an Arrow array as text.

    Times are written in ISO 8601 and UTC, and lists joined with a bar. Bytes that are not UTF-8 become lone surrogates.
    """
    types = pyarrow.types
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    arrow_type = column.type
    if types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type):
        column = column.cast(pyarrow.binary())  # Parquet files may hold any bytes as text
        arrow_type = column.type

    if types.is_binary(arrow_type) or types.is_large_binary(arrow_type):
        cells = _to_objects(pyarrow, column)
        return [None if cell is None else _decode(cell) for cell in cells]
    if types.is_timestamp(arrow_type):
        microseconds = column.cast(pyarrow.timestamp("us"), safe=False).cast(pyarrow.int64()).to_pylist()
        return [None if cell is None else _format_time(cell) for cell in microseconds]
    if types.is_floating(arrow_type):
        cells = _to_objects(pyarrow, column)
        return [None if cell is None or cell != cell else repr(cell) for cell in cells]  # pandas writes NaN for None
    if types.is_list(arrow_type) or types.is_large_list(arrow_type):
        cells = _to_objects(pyarrow, column)
        return [None if cell is None else "|".join(str(item) for item in cell if item is not None) for cell in cells]
    try:
        return list(column.cast(pyarrow.string()).to_pylist())
    except (pyarrow.ArrowException, ValueError):
        return [None if cell is None else str(cell) for cell in _to_objects(pyarrow, column)]


def _to_objects(pyarrow: Any, column: Any) -> list[Any]:
    """Return the cells as Python objects; cells that cannot be converted, such as lists of broken text, as a marker."""
    try:
        return list(column.to_pylist())
    except (pyarrow.ArrowException, ValueError):
        pass
    cells: list[Any] = []
    for cell in column:
        try:
            cells.append(cell.as_py())
        except (pyarrow.ArrowException, ValueError):
            cells.append(_UNREADABLE)
    return cells


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _format_time(microseconds: int) -> str:
    """Return ISO 8601; or, for a time that no calendar holds, a text that the parser of times refuses."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} microseconds"
