"""Read interactions as columns of numbers for training.

The ORM defines the columns. On PostgreSQL the database then packs each column of a chunk into one binary value, which
NumPy reads as it is, because fetching millions of rows would create a Python object for each number first.
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
CHUNK_ROWS = 500_000
# PostgreSQL's functions that turn the four columns into bytes.
SEND_FUNCTIONS = ("int8send", "int8send", "timestamptz_send", "int8send")
# The bits of the fourth column: four for the signal, one for a qualified play, and the number of plays above them.
SIGNAL_MASK = 0b1111
QUALIFIED_BIT = 0b10000
PLAYS_SHIFT = 5
POSTGRES_EPOCH = 946_684_800  # 2000-01-01 in UNIX seconds
COPY_HEADER_BYTES = 11 + 4 + 4  # the signature, the flags, and the length of an extension that is empty
FIELD_LENGTH = struct.Struct(">i")


def iter_play_chunks(rows: int = CHUNK_ROWS) -> Iterator[Plays]:
    """Yield the interactions of consenting listeners in the order of their primary keys.

    Each chunk is read by its own query, so that memory is needed for one chunk and not for the table; it holds what the
    table contained at that moment.

    Args:
        rows: the largest number of interactions of a chunk.
    """
    span = Interaction.objects.aggregate(first=Min("pk"), last=Max("pk"))
    if span["first"] is None:
        return
    excluded = np.fromiter(User.objects.exclude(CONSENTING).values_list("pk", flat=True).iterator(), np.int64)
    read_columns = _read_packed if connection.vendor == "postgresql" else _read_rows
    for first in range(span["first"], span["last"] + 1, rows):
        user, track, time, packed = read_columns(first, first + rows)
        if not len(user):
            continue
        plays = Plays(
            user,
            track,
            (packed >> PLAYS_SHIFT).astype(np.float32),
            (packed & QUALIFIED_BIT) > 0,
            time,
            (packed & SIGNAL_MASK).astype(np.int8),
        )
        yield plays.where(~np.isin(plays.user, excluded)) if len(excluded) else plays


def _select_columns(first: int, end: int, time: Any) -> "QuerySet[Interaction, tuple[int, ...]]":
    """Select listener, track, time, and all else in one number, since each column costs as much as a whole row."""
    plays = Cast("plays", BigIntegerField()) * (1 << PLAYS_SHIFT)
    packed = plays + Case(When(QUALIFIED, then=QUALIFIED_BIT), default=0) + signal_expression()
    chunk = Interaction.objects.filter(pk__gte=first, pk__lt=end).order_by("pk")
    return chunk.values_list(F("user_id"), F("track_id"), time, packed)


def _read_packed(first: int, end: int) -> Columns:
    """Read a chunk from PostgreSQL: one row whose fields are the columns as big-endian integers, by a binary COPY."""
    # Times as they are stored, because converting millions of them in the database takes longer than reading them.
    chunk = _select_columns(first, end, F("played_at"))
    sql, parameters = chunk.query.get_compiler(connection=connection).as_sql()
    names = [f"c{n}" for n in range(len(SEND_FUNCTIONS))]
    packed = ", ".join(
        f"string_agg({send}({name}), ''::bytea)" for send, name in zip(SEND_FUNCTIONS, names, strict=True)
    )
    buffer = io.BytesIO()
    with connection.cursor() as cursor:
        subquery = cursor.mogrify(sql, parameters).decode()
        cursor.copy_expert(
            f"COPY (SELECT {packed} FROM ({subquery}) chunk ({', '.join(names)})) TO STDOUT (FORMAT binary)", buffer
        )
    view = buffer.getbuffer()
    columns: Columns = []
    offset = COPY_HEADER_BYTES + 2  # the number of fields takes two bytes
    for _ in names:
        length = max(0, FIELD_LENGTH.unpack_from(view, offset)[0])  # -1 for NULL: the chunk has no rows
        offset += FIELD_LENGTH.size
        columns.append(np.frombuffer(view[offset : offset + length], ">i8").astype(np.int64))
        offset += length
    user, track, microseconds, other = columns
    return [user, track, microseconds // 1_000_000 + POSTGRES_EPOCH, other]


def _read_rows(first: int, end: int) -> Columns:
    """Read a chunk from any database, row by row. Tests compare `_read_packed` with it."""
    chunk = _select_columns(first, end, UnixSeconds("played_at"))
    rows = np.array(list(chunk.iterator(chunk_size=50_000)), np.int64).reshape(-1, len(SEND_FUNCTIONS))
    return [column.copy() for column in rows.T]
