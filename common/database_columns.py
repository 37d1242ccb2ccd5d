"""Read a few columns of very many rows into arrays.

The ORM defines the rows. On PostgreSQL the database then packs each column into one binary value, which NumPy reads as
it is, because fetching millions of rows would create a Python object for each number first.
"""

import io
import struct
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import BigIntegerField, F, Func, QuerySet
from numpy.typing import NDArray

Columns = list[NDArray[Any]]
ColumnType = type[int] | type[float] | type[date] | type[datetime] | type[bytes]
NULL = np.iinfo(np.int64).min
ITERATOR_ROWS = 50_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_POSTGRES_EPOCH = 946_684_800  # 2000-01-01 in UNIX seconds
_COPY_HEADER_BYTES = 11 + 4 + 4  # the signature, the flags, and the length of an extension that is empty
_FIELD_LENGTH = struct.Struct(">i")
# How PostgreSQL turns a value of each type into bytes. Times are sent as they are stored, because converting millions
# of them in the database takes longer than reading them.
_SEND: dict[ColumnType, str] = {
    int: f"int8send(coalesce({{}}::bigint, {NULL}))",
    float: "float8send(coalesce({}::float8, 'NaN'))",
    date: f"int8send(coalesce(({{}} - '1970-01-01'::date)::bigint, {NULL}))",
    datetime: "timestamptz_send({})",
    bytes: "{}",
}


class UnixSeconds(Func):
    """The whole UNIX seconds of a date column, rounded down in the database."""

    template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint"
    output_field = BigIntegerField()

    def as_sqlite(self, compiler, connection, **context):  # type: ignore[no-untyped-def]
        # Four percent signs, because the template and the parameters each turn two of them into one.
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        return self.as_sql(compiler, connection, template=template, **context)


def read_columns(rows: "QuerySet[Any, Any]", columns: Sequence[tuple[Any, ColumnType]]) -> Columns:
    """Read columns of all rows of a query, in its order, by one query.

    Args:
        rows: the rows. A column takes up to a gigabyte, so select a part of a table that may have more.
        columns: the name of each column or an expression, and its type.

    Returns:
        one array for each column, k rows. `int` is int64 and `float` float64, with NULL and NaN for SQL's NULL; `date`
        is days since 1970-01-01, int64, with NULL; `datetime`, which must not be NULL, is UNIX seconds, int64; of
        `bytes` the values are joined, uint8.
    """
    read = _read_packed if connection.vendor == "postgresql" else _read_rows
    return read(rows, columns)


def _read_packed(rows: "QuerySet[Any, Any]", columns: Sequence[tuple[Any, ColumnType]]) -> Columns:
    """Read one row whose fields are the columns, by a binary COPY from PostgreSQL."""
    selected = rows.values_list(*[F(column) if isinstance(column, str) else column for column, _ in columns])
    sql, parameters = selected.query.get_compiler(connection=connection).as_sql()
    names = [f"c{n}" for n in range(len(columns))]
    packed = ", ".join(
        f"string_agg({_SEND[type_].format(name)}, ''::bytea)" for name, (_, type_) in zip(names, columns, strict=True)
    )
    buffer = io.BytesIO()
    with connection.cursor() as cursor:
        subquery = cursor.mogrify(sql, parameters).decode()
        cursor.copy_expert(
            f"COPY (SELECT {packed} FROM ({subquery}) chunk ({', '.join(names)})) TO STDOUT (FORMAT binary)", buffer
        )
    view = buffer.getbuffer()
    arrays: Columns = []
    offset = _COPY_HEADER_BYTES + 2  # the number of fields takes two bytes
    for _, type_ in columns:
        length = max(0, _FIELD_LENGTH.unpack_from(view, offset)[0])  # -1 for NULL: there are no rows
        offset += _FIELD_LENGTH.size
        field = view[offset : offset + length]
        offset += length
        if type_ is bytes:
            arrays.append(np.frombuffer(field, np.uint8).copy())
        elif type_ is float:
            arrays.append(np.frombuffer(field, ">f8").astype(np.float64))
        else:
            integers = np.frombuffer(field, ">i8").astype(np.int64)
            arrays.append(integers // 1_000_000 + _POSTGRES_EPOCH if type_ is datetime else integers)
    return arrays


def _read_rows(rows: "QuerySet[Any, Any]", columns: Sequence[tuple[Any, ColumnType]]) -> Columns:
    """Read from any database, row by row. Tests compare `_read_packed` with it."""
    expressions = [F(column) if isinstance(column, str) else column for column, _ in columns]
    in_seconds = [
        UnixSeconds(expression) if type_ is datetime else expression
        for expression, (_, type_) in zip(expressions, columns, strict=True)
    ]
    chunks: list[Columns] = []
    chunk: list[Any] = []
    for row in rows.values_list(*in_seconds).iterator(chunk_size=ITERATOR_ROWS):
        chunk.append(row)
        if len(chunk) == ITERATOR_ROWS:
            chunks.append(_to_arrays(chunk, columns))
            chunk = []
    chunks.append(_to_arrays(chunk, columns))
    return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]


def _to_arrays(rows: list[Any], columns: Sequence[tuple[Any, ColumnType]]) -> Columns:
    values_of_columns = zip(*rows, strict=True) if rows else [()] * len(columns)
    arrays: Columns = []
    for values, (_, type_) in zip(values_of_columns, columns, strict=True):
        if type_ is bytes:
            arrays.append(np.frombuffer(b"".join(values), np.uint8).copy())
        elif type_ is float:
            arrays.append(np.array(values, np.float64))  # None becomes NaN
        elif type_ is date:
            days = [NULL if value is None else value.toordinal() - _EPOCH_ORDINAL for value in values]
            arrays.append(np.array(days, np.int64))
        else:
            arrays.append(np.array([NULL if value is None else value for value in values], np.int64))
    return arrays
