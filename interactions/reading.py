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
from django.db.models import Case, F, Max, Min, QuerySet, When
from numpy.typing import NDArray

from access.models import User
from engine.plays import Plays
from interactions.models import Interaction
from interactions.selectors import AGREE, QUALIFIED, UnixSeconds, signal_column

Columns = list[NDArray[np.int64]]
ROWS = 500_000
_SENT = [("int8send", ">i8"), ("int8send", ">i8"), ("int4send", ">i4"), ("int4send", ">i4")]
_SENT += [("timestamptz_send", ">i8"), ("int4send", ">i4")]  # of each column, PostgreSQL's function and what it gives
_POSTGRES_EPOCH = 946_684_800  # 2000-01-01 in UNIX seconds
_COPY_HEADER = 11 + 4 + 4  # signature, flags, length of an extension that nobody uses
_LENGTH = struct.Struct(">i")


def play_chunks(rows: int = ROWS) -> Iterator[Plays]:
    """All interactions to learn from in the order they came, as columns, at most `rows` at a time: memory for a chunk,
    not for the table. A chunk is as the table was when it was read."""
    span = Interaction.objects.aggregate(first=Min("pk"), last=Max("pk"))
    if span["first"] is None:
        return
    unheard = np.fromiter(User.objects.exclude(AGREE).values_list("pk", flat=True).iterator(), np.int64)
    read = {"postgresql": _packed, "sqlite": _listed}.get(connection.vendor, _fetched)
    for first in range(span["first"], span["last"] + 1, rows):
        columns = read(first, first + rows)
        if len(columns[0]):
            plays = _plays(columns)
            yield plays.where(~np.isin(plays.user, unheard)) if len(unheard) else plays


def _chunk(first: int, end: int, time: Any) -> "QuerySet[Interaction, tuple[int, ...]]":
    of: list[Any] = [F("user_id"), F("track_id"), F("plays"), Case(When(QUALIFIED, then=1), default=0), time]
    found = Interaction.objects.filter(pk__gte=first, pk__lt=end).order_by("pk")
    return found.values_list(*of, signal_column())


def _plays(columns: Columns) -> Plays:
    user, track, count, qualified, time, signal = columns
    return Plays(user, track, count.astype(np.float32), qualified > 0, time, signal.astype(np.int8))


def _packed(first: int, end: int) -> Columns:
    """PostgreSQL: each column as the bytes of its numbers, big-endian, and one row of such columns by COPY. Times as
    they are stored: reckoning with them takes longer than reading them."""
    sql, parameters = _chunk(first, end, F("played_at")).query.get_compiler(connection=connection).as_sql()
    packed = ", ".join(f"string_agg({send}(c{n}), ''::bytea)" for n, (send, _) in enumerate(_SENT))
    names = ", ".join(f"c{n}" for n in range(len(_SENT)))
    buffer = io.BytesIO()
    with connection.cursor() as cursor:
        inner = cursor.mogrify(sql, parameters).decode()
        cursor.copy_expert(f"COPY (SELECT {packed} FROM ({inner}) chunk ({names})) TO STDOUT (FORMAT binary)", buffer)
    user, track, plays, qualified, time, signal = _fields(buffer.getbuffer())
    return [user, track, plays, qualified, time // 1_000_000 + _POSTGRES_EPOCH, signal]


def _fields(copied: "memoryview[int]") -> Iterator[NDArray[np.int64]]:
    place = _COPY_HEADER + 2  # the number of fields
    for _, dtype in _SENT:
        length = max(0, _LENGTH.unpack_from(copied, place)[0])  # -1 for NULL: the chunk has no rows
        place += 4
        yield np.frombuffer(copied[place : place + length], dtype).astype(np.int64)
        place += length


def _listed(first: int, end: int) -> Columns:
    """SQLite: each column as text, its numbers separated by commas."""
    sql, parameters = _chunk(first, end, UnixSeconds("played_at")).query.get_compiler(connection=connection).as_sql()
    names = [f"c{n}" for n in range(len(_SENT))]
    lists = ", ".join(f"group_concat({name})" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(f"WITH chunk ({', '.join(names)}) AS ({sql}) SELECT {lists} FROM chunk", parameters)
        [texts] = cursor.fetchall()
    return [np.fromstring(text or "", np.int64, sep=",") for text in texts]


def _fetched(first: int, end: int) -> Columns:
    """Any database, and what the others are tested by."""
    chunk = _chunk(first, end, UnixSeconds("played_at"))
    rows = np.array(list(chunk.iterator(chunk_size=50_000)), np.int64).reshape(-1, len(_SENT))
    return [column.copy() for column in rows.T]
