import hashlib
import logging
import re
import secrets
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import DatabaseError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from access.models import Scope, ServiceKey, User
from access.selectors import erased_external_ids, user_ids_by_external_id
from common.stale_listeners import add_stale_listeners

logger = logging.getLogger(__name__)

LAST_USED_RESOLUTION_SECONDS = 60  # how exact `last_used_at` is
SQLITE_WAIT_MS = 20
BATCH_SIZE = 10_000  # SQLite takes 32,766 parameters a query
_last_recorded: dict[int, float] = {}  # when this process last did, by key


def create_service_key(name: str, scopes: Iterable[str], days: int | None = None) -> str:
    """A new key, in clear for the only time. days: until it expires, if ever.

    Raises ValueError for an unknown scope or a name that is taken.
    """
    wanted = sorted(set(scopes))
    if unknown := set(wanted) - set(Scope.values):
        raise ValueError(f"unknown scope {', '.join(sorted(unknown))}; scopes are {', '.join(Scope.values)}")
    if not wanted:
        raise ValueError(f"a key needs a scope; scopes are {', '.join(Scope.values)}")
    if ServiceKey.objects.filter(name=name).exists():
        raise ValueError(f"a key named {name!r} exists; choose another name")
    key = _new_key()
    ServiceKey.objects.create(name=name, **_key_columns(key), scopes=wanted, expires_at=_expiry(days))
    return key


@transaction.atomic
def rotate_service_key(name: str, grace: timedelta, days: int | None = None) -> str:
    """A new key in the place of the one of that name, which works on for `grace`. days: until the new one expires; None
    keeps the date there is. In clear for the only time.

    Raises ValueError where there is no such key, it is revoked, or the new one would be over already.
    """
    now = timezone.now()
    row = ServiceKey.objects.select_for_update().filter(name=name).first()
    if row is None:
        raise ValueError(f"there is no key named {name!r}; the admin lists them under 'Service keys'")
    if row.revoked_at is not None:
        raise ValueError(f"the key {name!r} is revoked; create one with another name")
    expires_at = _expiry(days) or row.expires_at
    if expires_at is not None and expires_at <= now:
        raise ValueError(
            f"the key {name!r} expired on {expires_at:%Y-%m-%d}; say with --days how long the new one lasts"
        )
    key = _new_key()
    before = {"previous_digest": row.digest, "previous_until": now + grace}
    ServiceKey.objects.filter(pk=row.pk).update(**_key_columns(key), **before, expires_at=expires_at)
    return key


def record_service_key_use(key: ServiceKey) -> None:
    """Write down that it is used, once a minute. Nobody's request waits for it or fails by it."""
    if time.monotonic() - _last_recorded.get(key.pk, -LAST_USED_RESOLUTION_SECONDS) < LAST_USED_RESOLUTION_SECONDS:
        return
    now = timezone.now()
    before = now - timedelta(seconds=LAST_USED_RESOLUTION_SECONDS)
    if (key.last_used_at or before) > before:
        return
    _last_recorded[key.pk] = time.monotonic()  # set before the update, so that a failing database is not asked again
    try:
        with _short_sqlite_timeout():
            due = Q(last_used_at=None) | Q(last_used_at__lt=before)
            ServiceKey.objects.filter(due, pk=key.pk).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("the last use of the service key %s was not noted: %s", key.prefix, error)


@contextmanager
def _short_sqlite_timeout() -> Iterator[None]:
    """SQLite has one writer at a time; an import may write for seconds."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        [patience] = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_WAIT_MS}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience}")


def _new_key() -> str:
    return f"mr_{secrets.token_urlsafe(32)}"


def _key_columns(key: str) -> dict[str, str]:
    """What is kept of a key."""
    return {"prefix": key[:12], "digest": ServiceKey.digest_of(key)}


def _expiry(days: int | None) -> datetime | None:
    return None if days is None else timezone.now() + timedelta(days=days)


def lock_user(user_id: int) -> None:
    """Until the transaction ends, who else locks the same listener waits."""
    User.objects.select_for_update().filter(pk=user_id).first()


def bump_user_revisions(user_ids: Iterable[int]) -> None:
    """What these listeners did or like has changed: from the commit on, no answer made before is theirs. At the end of
    the transaction, for it locks their rows."""
    ids, revision = sorted(set(user_ids)), new_revision()
    transaction.on_commit(lambda: add_stale_listeners(ids), robust=True)
    if connection.vendor == "postgresql":  # in one order, so that two transactions do not lock each other out
        with connection.cursor() as cursor:
            table = User._meta.db_table
            cursor.execute(
                f"WITH locked AS (SELECT id FROM {table} WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE) "
                f"UPDATE {table} listener SET revision = %s FROM locked WHERE listener.id = locked.id",
                [ids, revision],
            )
        return
    for start in range(0, len(ids), BATCH_SIZE):
        User.objects.filter(pk__in=ids[start : start + BATCH_SIZE]).update(revision=revision)


def new_revision() -> int:
    """A number that no state had before, not even one of a database that was restored from a backup."""
    return secrets.randbits(62)


def revoke_service_keys(keys: Iterable[ServiceKey]) -> int:
    """Stop them at once; gives how many were still in use."""
    ids = [key.pk for key in keys]
    return ServiceKey.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=timezone.now())


def get_or_create_user_ids(external_ids: Collection[str]) -> dict[str, int]:
    """Ids of the listeners with these outside ids; those not seen before are created, without a password. Who
    was erased is left out: nobody brings them back."""
    wanted = set(external_ids) - erased_external_ids(external_ids)
    found = user_ids_by_external_id(wanted)
    for username_of in (_plain_username, _distinct_username):
        if missing := sorted(wanted - found.keys()):
            unusable = make_password(None)
            User.objects.bulk_create(
                [User(external_id=e, username=username_of(e), password=unusable) for e in missing],
                ignore_conflicts=True,  # another process was first, or the username is somebody else's
            )
            found |= user_ids_by_external_id(missing)
    return found


def _plain_username(external_id: str) -> str:
    """The outside id, in the characters that a username may have."""
    return re.sub(r"[^\w.@+-]", "-", external_id)


def _distinct_username(external_id: str) -> str:
    """For an outside id whose plain username is taken."""
    return f"{_plain_username(external_id)}-{hashlib.sha256(external_id.encode()).hexdigest()[:8]}"
