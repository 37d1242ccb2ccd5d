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
from engine.data.plays import Plays
from interactions.models import Interaction
from interactions.selectors import CONSENTING, QUALIFIED, UnixSeconds, signal_expression

Columns = list[NDArray[np.int64]]
ROWS = 500_000
_SENDS = ("int8send", "int8send", "timestamptz_send", "int8send")  # PostgreSQL's, of each column
_SIGNAL, _GOOD, _ABOVE = 0b1111, 0b10000, 5  # bits of what a row says; how many plays it stands for is above them
_POSTGRES_EPOCH = 946_684_800  # 2000-01-01 in UNIX seconds
_COPY_HEADER = 11 + 4 + 4  # signature, flags, length of an extension that nobody uses
_LENGTH = struct.Struct(">i")


def iter_play_chunks(rows: int = ROWS) -> Iterator[Plays]:
    """All interactions to learn from in the order they came, as columns, at most `rows` at a time: memory for a chunk,
    not for the table. A chunk is as the table was when it was read."""
    span = Interaction.objects.aggregate(first=Min("pk"), last=Max("pk"))
    if span["first"] is None:
        return
    unheard = np.fromiter(User.objects.exclude(CONSENTING).values_list("pk", flat=True).iterator(), np.int64)
    read = {"postgresql": _packed, "sqlite": _listed}.get(connection.vendor, _fetched)
    for first in range(span["first"], span["last"] + 1, rows):
        columns = read(first, first + rows)
        if len(columns[0]):
            plays = _plays(columns)
            yield plays.where(~np.isin(plays.user, unheard)) if len(unheard) else plays


def _chunk(first: int, end: int, time: Any) -> "QuerySet[Interaction, tuple[int, ...]]":
    """Listener, track, time, and in one number all else: each column costs as much as the rest of reading a row."""
    plays = Cast("plays", BigIntegerField()) * (1 << _ABOVE)
    said = plays + Case(When(QUALIFIED, then=_GOOD), default=0) + signal_expression()
    found = Interaction.objects.filter(pk__gte=first, pk__lt=end).order_by("pk")
    return found.values_list(F("user_id"), F("track_id"), time, said)


def _plays(columns: Columns) -> Plays:
    user, track, time, said = columns
    count, qualified, signal = said >> _ABOVE, (said & _GOOD) > 0, said & _SIGNAL
    return Plays(user, track, count.astype(np.float32), qualified, time, signal.astype(np.int8))


def _packed(first: int, end: int) -> Columns:
    """PostgreSQL: each column as the bytes of its numbers, big-endian, and one row of such columns by COPY. Times as
    they are stored: reckoning with them takes longer than reading them."""
    sql, parameters = _chunk(first, end, F("played_at")).query.get_compiler(connection=connection).as_sql()
    packed = ", ".join(f"string_agg({send}(c{n}), ''::bytea)" for n, send in enumerate(_SENDS))
    names = ", ".join(f"c{n}" for n in range(len(_SENDS)))
    buffer = io.BytesIO()
    with connection.cursor() as cursor:
        inner = cursor.mogrify(sql, parameters).decode()
        cursor.copy_expert(f"COPY (SELECT {packed} FROM ({inner}) chunk ({names})) TO STDOUT (FORMAT binary)", buffer)
    user, track, time, said = _fields(buffer.getbuffer())
    return [user, track, time // 1_000_000 + _POSTGRES_EPOCH, said]


def _fields(copied: "memoryview[int]") -> Iterator[NDArray[np.int64]]:
    place = _COPY_HEADER + 2  # the number of fields
    for _ in _SENDS:
        length = max(0, _LENGTH.unpack_from(copied, place)[0])  # -1 for NULL: the chunk has no rows
        place += 4
        yield np.frombuffer(copied[place : place + length], ">i8").astype(np.int64)
        place += length


def _listed(first: int, end: int) -> Columns:
    """SQLite: each column as text, its numbers separated by commas."""
    sql, parameters = _chunk(first, end, UnixSeconds("played_at")).query.get_compiler(connection=connection).as_sql()
    names = [f"c{n}" for n in range(len(_SENDS))]
    lists = ", ".join(f"group_concat({name})" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH chunk ({', '.join(names)}) AS ({sql}) SELECT {lists} FROM chunk", parameters)
        [texts] = cursor.fetchall()
    return [np.fromstring(text or "", np.int64, sep=",") for text in texts]


def _fetched(first: int, end: int) -> Columns:
    """Any database, and what the others are tested by."""
    chunk = _chunk(first, end, UnixSeconds("played_at"))
    rows = np.array(list(chunk.iterator(chunk_size=50_000)), np.int64).reshape(-1, len(_SENDS))
    return [column.copy() for column in rows.T]
