"""Bulk inserts of interactions and exposures that skip the events which are stored already."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import orjson
from django.db import IntegrityError, OperationalError, connection, transaction

from access.services import bump_user_revisions
from interactions.left_out import ALWAYS_COUNTED, listeners_with_exclusions, refresh_left_out
from interactions.models import Exposure, Interaction

T = TypeVar("T")
MAX_ATTEMPTS = 5
POSTGRESQL_DEADLOCK = "40P01"


class NewInteraction(NamedTuple):
    """A row to insert into `interactions`. A named tuple costs a tenth of a model instance."""

    user_id: int
    track_id: int
    kind: str
    played_at: datetime
    source: str
    event_id: UUID
    plays: int = 1
    ms_played: int | None = None
    end_reason: str = ""
    milestone: int = 0
    is_completed: bool = False
    is_skip: bool = False
    is_listen: bool = False
    session_id: str = ""
    device: str = ""
    context: str = ""
    recommendation_id: UUID | None = None
    position: int | None = None
    clock: str = ""
    reports: list[list[Any]] | None = None
    learn: bool = True
    shuffled: bool = False
    left_out: bool = False  # is set when the row is inserted


class NewExposure(NamedTuple):
    """A row to insert into `exposures`."""

    user_id: int
    track_id: int
    kind: str
    occurred_at: datetime
    event_id: UUID
    session_id: str = ""
    device: str = ""
    context: str = ""
    recommendation_id: UUID | None = None
    position: int | None = None
    clock: str = ""


def retry_on_conflict(write: Callable[[], T]) -> T:
    """Call `write` in a transaction and return its result; on an IntegrityError or a deadlock try again.

    An IntegrityError means that a listener or a track was deleted between the check and the commit, or that another
    process wrote the same row at the same moment. The next attempt sees what has changed. A deadlock is possible while
    a listener is merged into another one who sends the same events, because events lock the listener last.
    """
    for attempts_left in reversed(range(MAX_ATTEMPTS)):
        try:
            with transaction.atomic():
                return write()
        except (IntegrityError, OperationalError) as error:
            can_be_repeated = isinstance(error, IntegrityError) or _is_deadlock(error)
            if not can_be_repeated or not attempts_left or transaction.get_connection().in_atomic_block:
                raise
    raise AssertionError("unreachable")


def _is_deadlock(error: Exception) -> bool:
    return getattr(error.__cause__, "pgcode", None) == POSTGRESQL_DEADLOCK


# Both functions sort the rows, for two reasons. First, two transactions that insert the same events then lock them in
# the same order, so that one waits for the other instead of a deadlock. Second, if two rows are of the same second,
# training regards the one with the higher primary key as the later one, so the earlier event has to be inserted first.
# In a caller's transaction they set no savepoint, which would take two more round trips: an error ends it anyway.


@transaction.atomic(savepoint=False)
def insert_interactions(rows: Sequence[NewInteraction]) -> int:
    """Insert the rows whose (user, event id) is not stored yet, and bump the revisions of their listeners.

    Exclusions of the listeners apply to them, see `interactions.left_out`.

    Returns:
        The number of inserted rows.

    Raises:
        IntegrityError: a row violates another constraint; nothing is inserted, and a caller's transaction must end.
    """
    ordered = sorted(rows, key=lambda row: (row.user_id, row.played_at, row.event_id))
    ordered = [
        row
        if row.learn and not row.left_out
        else row._replace(left_out=not row.learn and row.kind not in ALWAYS_COUNTED)
        for row in ordered
    ]
    inserted = _insert_new(Interaction._meta.db_table, ordered)
    if inserted:
        user_ids = {row.user_id for row in ordered}
        bump_user_revisions(user_ids)  # locks the listeners, so that no exclusion is added or removed from here on
        if excluding := listeners_with_exclusions(user_ids):
            event_ids = [row.event_id for row in ordered if row.user_id in excluding]
            refresh_left_out(Interaction.objects.filter(user__in=excluding, event_id__in=event_ids))
    return inserted


@transaction.atomic(savepoint=False)
def insert_exposures(rows: Sequence[NewExposure]) -> int:
    """Insert the rows whose (user, event id) is not stored yet, and return their number.

    No revision is bumped, because recommendations do not depend on exposures. Raises IntegrityError like
    `insert_interactions`.
    """
    ordered = sorted(rows, key=lambda row: (row.user_id, row.occurred_at, row.event_id))
    return _insert_new(Exposure._meta.db_table, ordered)


def _insert_new(table: str, rows: Sequence[NewInteraction] | Sequence[NewExposure]) -> int:
    if not rows:
        return 0
    columns = ", ".join(rows[0]._fields)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # One parameter with all rows: as fast as COPY into a temporary table, and four times as fast as
            # bulk_create(), which does not return how many rows were new either.
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s) "
                f"ON CONFLICT (user_id, event_id) DO NOTHING",
                [orjson.dumps([row._asdict() for row in rows]).decode()],
            )
        else:
            placeholders = ", ".join(["%s"] * len(rows[0]))
            cursor.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({placeholders}) ON CONFLICT (user_id, event_id) DO NOTHING",
                [tuple(map(_sqlite_value, row)) for row in rows],
            )
        return int(cursor.rowcount)


def _sqlite_value(value: Any) -> Any:
    """Return a value as Django stores it in SQLite.

    Times are in UTC without an offset, UUIDs 32 hexadecimal digits, and lists JSON.
    """
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    if isinstance(value, list):
        return orjson.dumps(value).decode()
    return value.hex if isinstance(value, UUID) else value
