"""Insert many interactions at once, each event once."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from interactions.models import Interaction


class Row(NamedTuple):
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


TABLE = Interaction._meta.db_table
COLUMNS = ", ".join(Row._fields)
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@transaction.atomic
def insert_once(rows: Sequence[Row]) -> int:
    """Insert the rows whose (user, event_id) is new; gives how many. Any other violation raises and inserts nothing."""
    if not rows:
        return 0
    return _copy(rows) if connection.vendor == "postgresql" else _execute_many(rows)


def _execute_many(rows: Sequence[Row]) -> int:
    marks = ", ".join(["%s"] * len(Row._fields))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {TABLE} ({COLUMNS}) VALUES ({marks}) ON CONFLICT (user_id, event_id) DO NOTHING",
            [(*r[:3], _sqlite_time(r.played_at), *r[4:12], r.event_id.hex) for r in rows],
        )
        return int(cursor.rowcount)


def _sqlite_time(moment: datetime) -> str:
    """As Django stores it: UTC, without saying so."""
    return str(moment.astimezone(UTC).replace(tzinfo=None))


def _copy(rows: Sequence[Row]) -> int:
    """COPY cannot skip conflicts, so into a temporary table first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS incoming ON COMMIT DELETE ROWS AS "
            f"SELECT {COLUMNS} FROM {TABLE} WITH NO DATA"
        )
        cursor.execute("TRUNCATE incoming")  # a second batch of the same transaction
        cursor.copy_expert(f"COPY incoming ({COLUMNS}) FROM STDIN", _tab_separated(rows))
        cursor.execute(
            f"INSERT INTO {TABLE} ({COLUMNS}) SELECT {COLUMNS} FROM incoming ON CONFLICT (user_id, event_id) DO NOTHING"
        )
        return int(cursor.rowcount)


def _tab_separated(rows: Sequence[Row]) -> io.StringIO:
    return io.StringIO("".join("\t".join(map(_field, row)) + "\n" for row in rows))


def _field(value: Any) -> str:
    if value is None:
        return r"\N"
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)
