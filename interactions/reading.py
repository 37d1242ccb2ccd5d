"""Interactions as columns of numbers, by the fastest way each database has.

An ORM makes an object of each number first; here the database packs each column of a chunk into one value, and NumPy
reads that as it is. What the columns are is said once, by the ORM.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import BigIntegerField, Case, F, Max, Min, QuerySet, When
from django.db.models.functions import Cast
from numpy.typing import NDArray

from access.models import User
from engine.plays import Plays
from interactions.models import Interaction
from interactions.selectors import LEARNT_FROM, QUALIFIED, UnixSeconds, signal_column

Columns = list[NDArray[np.int64]]
ROWS = 500_000
_COLUMNS = 6
_COPY_HEADER = 11 + 4 + 4  # signature, flags, length of an extension that nobody uses
_LENGTH = struct.Struct(">i")


def play_chunks(rows: int = ROWS) -> Iterator[Plays]:
    """All interactions to learn from in the order they came, as columns, at most `rows` at a time: memory for a chunk,
    not for the table. A chunk is as the table was when it was read."""
    span = Interaction.objects.aggregate(first=Min("pk"), last=Max("pk"))
    if span["first"] is None:
        return
    unheard = np.fromiter(User.objects.exclude(_learnt_from_user()).values_list("pk", flat=True).iterator(), np.int64)
    read = {"postgresql": _packed, "sqlite": _listed}.get(connection.vendor, _fetched)
    for first in range(span["first"], span["last"] + 1, rows):
        columns = read(_chunk(first, first + rows))
        if len(columns[0]):
            plays = _plays(columns)
            yield plays.where(~np.isin(plays.user, unheard)) if len(unheard) else plays


def _learnt_from_user() -> Any:
    """`LEARNT_FROM`, of the listener instead of the interaction."""
    q = LEARNT_FROM.copy()
    q.children = [(str(name).removeprefix("user__"), value) for name, value in q.children]  # type: ignore[misc]
    return q


def _chunk(first: int, end: int) -> "QuerySet[Interaction, tuple[int, ...]]":
    qualified = Case(When(QUALIFIED, then=1), default=0)
    of: list[Any] = [F("user_id"), F("track_id"), F("plays"), qualified, UnixSeconds("played_at"), signal_column()]
    found = Interaction.objects.filter(pk__gte=first, pk__lt=end).order_by("pk")
    return found.values_list(*(Cast(one, BigIntegerField()) for one in of))


def _plays(columns: Columns) -> Plays:
    user, track, count, qualified, time, signal = columns
    return Plays(user, track, count.astype(np.float32), qualified > 0, time, signal.astype(np.int8))


def _packed(chunk: "QuerySet[Any, Any]") -> Columns:
    """PostgreSQL: each column as the bytes of its numbers, big-endian, and one row of such columns by COPY."""
    sql, parameters = chunk.query.get_compiler(connection=connection).as_sql()
    names = [f"c{n}" for n in range(_COLUMNS)]
    packed = ", ".join(f"string_agg(int8send({name}), ''::bytea)" for name in names)
    buffer = io.BytesIO()
    with connection.cursor() as cursor:
        inner = cursor.mogrify(sql, parameters).decode()
        query = f"SELECT {packed} FROM ({inner}) chunk ({', '.join(names)})"
        cursor.copy_expert(f"COPY ({query}) TO STDOUT (FORMAT binary)", buffer)
    return list(_fields(buffer.getbuffer()))


def _fields(copied: "memoryview[int]") -> Iterator[NDArray[np.int64]]:
    place = _COPY_HEADER + 2  # the number of fields
    for _ in range(_COLUMNS):
        length = max(0, _LENGTH.unpack_from(copied, place)[0])  # -1 for NULL: the chunk has no rows
        place += 4
        yield np.frombuffer(copied[place : place + length], ">i8").astype(np.int64)
        place += length


def _listed(chunk: "QuerySet[Any, Any]") -> Columns:
    """SQLite: each column as text, its numbers separated by commas."""
    sql, parameters = chunk.query.get_compiler(connection=connection).as_sql()
    inner, names = sql, [f"c{n}" for n in range(_COLUMNS)]
    with connection.cursor() as cursor:
        cursor.execute(f"WITH chunk ({', '.join(names)}) AS ({inner}) SELECT {_lists(names)} FROM chunk", parameters)
        [texts] = cursor.fetchall()
    return [np.fromstring(text or "", np.int64, sep=",") for text in texts]


def _lists(names: list[str]) -> str:
    return ", ".join(f"group_concat({name})" for name in names)


def _fetched(chunk: "QuerySet[Any, Any]") -> Columns:
    """Any database, and what the others are tested by."""
    rows = np.array(list(chunk.iterator(chunk_size=50_000)), np.int64).reshape(-1, _COLUMNS)
    return [column.copy() for column in rows.T]
