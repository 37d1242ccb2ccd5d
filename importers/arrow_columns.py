"""Conversion of Arrow columns to the text that a csv file would hold, so that the same parsers read both formats.

pyarrow is an optional requirement; it is therefore passed in, and its types are not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from importers.errors import FormatError

ColumnReader = Callable[[Any], list[str | None]]
"""A function that returns the cells of an Arrow array as text."""

LIST_COLUMNS = frozenset(("tags", "genres"))
NAME_FIELDS = ("name", "tag", "genre", "label", "value")  # of the structs of a list, in order of preference
UNREADABLE = "\udcff"  # a lone surrogate; a cell that contains one is refused as bytes that are not text
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def column_reader(pyarrow: Any, place: str, name: str, arrow_type: Any) -> ColumnReader:
    """Return the function that converts arrays of a type.

    UUIDs are written in their usual form, times in ISO 8601 and UTC, durations in the unit of the column, whole numbers
    without a point, and lists of names joined with a bar.

    Args:
        place: the file and the column, for messages.
        name: the name of the column, in lower case.

    Raises:
        FormatError: cells of this type are not a value, or not a list of names in a column of tags.
    """
    types = pyarrow.types
    if types.is_dictionary(arrow_type):
        read_values = column_reader(pyarrow, place, name, arrow_type.value_type)
        return lambda column: read_values(column.dictionary_decode())
    if isinstance(arrow_type, pyarrow.BaseExtensionType):  # arrow.uuid is stored as 16 bytes, arrow.json as text
        read_storage = column_reader(pyarrow, place, name, arrow_type.storage_type)
        return lambda column: read_storage(column.storage)
    if types.is_nested(arrow_type):
        if name not in LIST_COLUMNS:
            raise FormatError(f"{place} is of the type {arrow_type}; write one value per row")
        return _list_reader(pyarrow, place, arrow_type)
    if types.is_fixed_size_binary(arrow_type) and arrow_type.byte_width == 16:
        return _reader(pyarrow, lambda cell: str(UUID(bytes=cell)))
    if _is_text(types, arrow_type):  # read as bytes, because Parquet files may hold any bytes as text
        return lambda column: _reader(pyarrow, _decode_text)(column.cast(pyarrow.large_binary()))
    if _is_bytes(types, arrow_type):
        return _reader(pyarrow, _decode_bytes)
    if types.is_floating(arrow_type):
        return _reader(pyarrow, partial(_format_float, exact_below=2 ** {16: 11, 32: 24, 64: 53}[arrow_type.bit_width]))
    if types.is_decimal(arrow_type):
        return _reader(pyarrow, _format_decimal)
    if types.is_timestamp(arrow_type):
        format_time = partial(_format_time, per_second=_UNITS_PER_SECOND[arrow_type.unit])
        return lambda column: _reader(pyarrow, format_time)(column.cast(pyarrow.int64()))
    if types.is_duration(arrow_type):
        factor, per_second = 1 if name == "duration_s" else 1_000, _UNITS_PER_SECOND[arrow_type.unit]
        return lambda column: _reader(pyarrow, lambda cell: str(cell * factor // per_second))(
            column.cast(pyarrow.int64())
        )
    if types.is_time(arrow_type):
        raise FormatError(f"{place} is of the type {arrow_type}, which has no date; write timestamps")
    return lambda column: list(column.cast(pyarrow.string()).to_pylist())  # integers, booleans, dates, nulls


def name_unreadable_cell(names: Sequence[str], cells: Sequence[str | None]) -> str:
    """Return why a row cannot be read, with the name of the column; "" if it can."""
    joined = "\n".join(cell or "" for cell in cells)
    if "\0" not in joined and (joined.isascii() or not _has_surrogate(joined)):
        return ""
    for name, cell in zip(names, cells, strict=True):
        if cell and "\0" in cell:
            return f"{name}: contains a NUL character"
        if cell and _has_surrogate(cell):
            return f"{name}: contains bytes that are not UTF-8 text; write text, whole numbers or UUIDs"
    raise AssertionError("unreachable")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _is_text(types: Any, arrow_type: Any) -> bool:
    return bool(types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type))


def _is_bytes(types: Any, arrow_type: Any) -> bool:
    is_variable = types.is_binary(arrow_type) or types.is_large_binary(arrow_type) or types.is_binary_view(arrow_type)
    return bool(is_variable or types.is_fixed_size_binary(arrow_type))


def _reader(pyarrow: Any, format_cell: Callable[[Any], str | None]) -> ColumnReader:
    def read(column: Any) -> list[str | None]:
        return [None if cell is None else format_cell(cell) for cell in _to_objects(pyarrow, column)]

    return read


def _to_objects(pyarrow: Any, column: Any) -> list[Any]:
    """Return the cells as Python objects; those that cannot be, such as lists of broken text, as UNREADABLE."""
    try:
        return list(column.to_pylist())
    except (pyarrow.ArrowException, ValueError):
        pass
    cells: list[Any] = []
    for cell in column:
        try:
            cells.append(cell.as_py())
        except (pyarrow.ArrowException, ValueError):
            cells.append(UNREADABLE)
    return cells


def _list_reader(pyarrow: Any, place: str, arrow_type: Any) -> ColumnReader:
    """Return a reader of lists of names, of lists of structs with a name, or of maps whose keys are names."""
    types = pyarrow.types
    is_map, name_field = types.is_map(arrow_type), ""
    if is_map:
        element = arrow_type.key_type
    elif types.is_struct(arrow_type) or types.is_union(arrow_type):
        raise FormatError(f"{place} is of the type {arrow_type}; write a list of names")
    else:
        element = arrow_type.value_type
        if types.is_struct(element):
            fields = {field.name.lower(): field for field in element}
            chosen = next((fields[name] for name in NAME_FIELDS if name in fields), None)
            if chosen is None:
                raise FormatError(f"{place} is of the type {arrow_type}, without a field name; write a list of names")
            element, name_field = chosen.type, chosen.name
    if types.is_dictionary(element):
        element = element.value_type
    if not (_is_text(types, element) or _is_bytes(types, element) or types.is_null(element)):
        raise FormatError(f"{place} is of the type {arrow_type}; write a list of names")

    def join_names(items: Any) -> str:
        if isinstance(items, str):
            return items  # UNREADABLE
        if is_map:
            items = [key for key, _ in items]
        elif name_field:
            items = [item and item[name_field] for item in items]
        names = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else item for item in items]
        return "|".join(name for name in names if name is not None)

    return _reader(pyarrow, join_names)


def _decode_text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _decode_bytes(value: bytes) -> str:
    """Return bytes that are a text. Numbers and hashes may be UTF-8 by chance, but have control characters then."""
    text = value.decode("utf-8", "surrogateescape")
    return UNREADABLE if any(character < " " and character not in "\t\n\r" for character in text) else text


def _format_float(value: float, exact_below: int) -> str | None:
    """Return a whole number without its point, or in scientific notation if it is too large to be exact."""
    value = float(value)
    if value != value:
        return None  # pandas writes NaN for None
    if not value.is_integer():
        return repr(value)
    return str(int(value)) if abs(value) <= exact_below else f"{value:.16e}"


def _format_decimal(value: Decimal) -> str:
    return str(int(value)) if value == value.to_integral_value() else f"{value:f}"


def _format_time(value: int, per_second: int) -> str:
    """Return ISO 8601; or, for a time that no calendar holds, a text that the parser of times refuses."""
    seconds, fraction = divmod(value, per_second)
    try:
        return (_EPOCH + timedelta(seconds=seconds, microseconds=fraction * 1_000_000 // per_second)).isoformat()
    except OverflowError:
        return f"{seconds} seconds"
