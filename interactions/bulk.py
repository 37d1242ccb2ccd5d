"""Insert many interactions at once, each event once."""

import io
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson
from django.db import IntegrityError, connection, transaction

from access.services import bump_user_revisions
from interactions.models import Exposure, Interaction


class NewInteraction(NamedTuple):
    """A row of `interactions`, by column."""

    user_id: int
    track_id: int
    kind: str
    played_at: datetime
    plays: int
    ms_played: int | None
    milestone: int
    is_completed: bool
    session_id: str
    device: str
    context: str
    source: str
    event_id: UUID
    end_reason: str = ""
    is_skip: bool = False
    is_listen: bool = False
    recommendation_id: UUID | None = None
    position: int | None = None


class NewExposure(NamedTuple):
    """A row of `exposures`, by column."""

    user_id: int
    track_id: int
    kind: str
    occurred_at: datetime
    session_id: str
    device: str
    context: str
    recommendation_id: UUID | None
    position: int | None
    event_id: UUID


TABLES = {NewInteraction: Interaction._meta.db_table, NewExposure: Exposure._meta.db_table}
T = TypeVar("T")
_TRIES = 3
_FEW = 1000  # rows from which COPY is faster than one statement
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def retry_on_conflict(write: Callable[[], T]) -> T:
    """`write()` in a transaction; again, where a listener or a track was deleted between its look and the commit, or
    somebody else wrote the same at the same moment."""
    for tries_left in reversed(range(_TRIES)):
        try:
            with transaction.atomic():
                return write()
        except IntegrityError:
            if not tries_left or transaction.get_connection().in_atomic_block:
                raise
    raise AssertionError("unreachable")


@transaction.atomic
def insert_new(rows: Sequence[NewInteraction] | Sequence[NewExposure]) -> int:
    """Insert the rows whose (user, event_id) is new; gives how many. Any other violation raises and inserts nothing."""
    if not rows:
        return 0
    # In one order, so that two who bring the same rows wait for each other instead of locking each other out; and the
    # older first, since training takes the later of two rows of a second for the newer.
    ordered = sorted(rows, key=lambda row: (row.user_id, row[3], row.event_id))
    if connection.vendor != "postgresql":
        inserted = _execute_many(ordered)
    else:
        inserted = _copy(ordered) if len(rows) > _FEW else _insert(ordered)
    if inserted and isinstance(rows[0], NewInteraction):
        bump_user_revisions(row.user_id for row in rows)
    return inserted


def _columns(rows: Sequence[Any]) -> str:
    return ", ".join(rows[0]._fields)


def _execute_many(rows: Sequence[Any]) -> int:
    marks = ", ".join(["%s"] * len(rows[0]))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {TABLES[type(rows[0])]} ({_columns(rows)}) VALUES ({marks}) "
            f"ON CONFLICT (user_id, event_id) DO NOTHING",
            [tuple(map(_sqlite, row)) for row in rows],
        )
        return int(cursor.rowcount)


def _insert(rows: Sequence[Any]) -> int:
    """One statement, in which the rows are one parameter."""
    table, columns = TABLES[type(rows[0])], _columns(rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s) "
            f"ON CONFLICT (user_id, event_id) DO NOTHING",
            [orjson.dumps([row._asdict() for row in rows]).decode()],
        )
        return int(cursor.rowcount)


def _sqlite(value: Any) -> Any:
    """As Django stores it: times in UTC, without saying so; UUIDs as 32 hex digits."""
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    return value.hex if isinstance(value, UUID) else value


def _copy(rows: Sequence[Any]) -> int:
    """COPY cannot skip conflicts, so into a temporary table first."""
    table, columns = TABLES[type(rows[0])], _columns(rows)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS incoming_{table} ON COMMIT DELETE ROWS AS "
            f"SELECT {columns} FROM {table} WITH NO DATA"
        )
        cursor.execute(f"TRUNCATE incoming_{table}")  # a second batch of the same transaction
        cursor.copy_expert(f"COPY incoming_{table} ({columns}) FROM STDIN", _tab_separated(rows))
        cursor.execute(
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming_{table} "
            f"ON CONFLICT (user_id, event_id) DO NOTHING"
        )
        return int(cursor.rowcount)


def _tab_separated(rows: Sequence[Any]) -> io.StringIO:
    return io.StringIO("".join("\t".join(map(_field, row)) + "\n" for row in rows))


def _field(value: Any) -> str:
    if value is None:
        return r"\N"
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)
