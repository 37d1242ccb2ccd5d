"""Columns of an Arrow batch → text, as a csv file would hold them, so that one set of row functions reads both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def text_columns(batch: Any, names: Sequence[str]) -> list[list[str | None]]:
    """The columns `names` of `batch`, an Arrow RecordBatch: a list of its cells each. Times are written in ISO 8601
    and UTC, lists joined with a bar; bytes that are not UTF-8 become lone surrogates."""
    return [_texts(batch.column(batch.schema.get_field_index(name))) for name in names]


def _texts(column: Any) -> list[str | None]:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    write = _writer(pa.types, kind)
    if write is not None:
        return [None if value is None else write(value) for value in _values(pa, column)]
    try:
        return list(column.cast(pa.string()).to_pylist())
    except (pa.ArrowException, ValueError):
        return [None if value is None else str(value) for value in _objects(pa, column)]


def _values(pa: Any, column: Any) -> list[Any]:
    """The cells as Python objects; text as bytes, which any content can be."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        return list(column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist())
    return _objects(pa, column.cast(pa.binary()) if _is_text(pa.types, kind) else column)


def _objects(pa: Any, column: Any) -> list[Any]:
    """The cells as Python objects; one that has none, such as a list of broken text, as a lone surrogate."""
    try:
        return list(column.to_pylist())
    except (pa.ArrowException, ValueError):
        return [_object(pa, cell) for cell in column]


def _object(pa: Any, cell: Any) -> Any:
    try:
        return cell.as_py()
    except (pa.ArrowException, ValueError):
        return "\udcff"


def _is_text(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _writer(types: Any, kind: Any) -> Callable[[Any], str] | None:
    """How a cell of this type is written where Arrow's own cast to text will not do."""
    if _is_text(types, kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return _decoded
    if types.is_timestamp(kind):
        return _iso
    if types.is_floating(kind):
        return lambda value: "" if value != value else repr(value)  # NaN is how pandas writes nothing
    if types.is_list(kind) or types.is_large_list(kind):
        return lambda value: "|".join(str(part) for part in value if part is not None)
    return None


def _decoded(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _iso(microseconds: int) -> str:
    """A time a date cannot hold stays a number, which no reader takes for a time."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return f"{microseconds} microseconds"
