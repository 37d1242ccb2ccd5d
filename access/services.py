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
from access.selectors import erased_external_ids, find_listener_ids, service_key_digest, user_ids_by_external_id
from common.http.references import ExternalId
from common.stale_listeners import add_stale_listeners

logger = logging.getLogger(__name__)

KEY_PREFIX = "mr_"  # by which service keys are told apart from other tokens
LAST_USED_RESOLUTION_SECONDS = 60
SQLITE_BUSY_TIMEOUT_MS = 20
BATCH_SIZE = 10_000  # SQLite accepts 32,766 parameters per query
_last_recorded: dict[int, float] = {}  # monotonic times at which this process recorded a use, by key


def create_service_key(name: str, scopes: Iterable[str], days: int | None = None) -> str:
    """Create a service key and return it in clear, which is not possible again.

    Args:
        name: the name of the new key.
        scopes: values of `Scope`.
        days: until the key expires; None for a key that does not expire.

    Raises:
        ValueError: a scope is unknown or missing, or the name is taken.
    """
    key_scopes = sorted(set(scopes))
    if unknown := set(key_scopes) - set(Scope.values):
        raise ValueError(f"unknown scope {', '.join(sorted(unknown))}; scopes are {', '.join(Scope.values)}")
    if not key_scopes:
        raise ValueError(f"a key needs a scope; scopes are {', '.join(Scope.values)}")
    if ServiceKey.objects.filter(name=name).exists():
        raise ValueError(f"a key named {name!r} exists; choose another name")
    key = _new_key()
    ServiceKey.objects.create(name=name, **_key_columns(key), scopes=key_scopes, expires_at=_expiry(days))
    return key


@transaction.atomic
def rotate_service_key(name: str, grace: timedelta, days: int | None = None) -> str:
    """Replace a service key by a new one and return it in clear, which is not possible again.

    Args:
        name: the name of the key.
        grace: how long the old key continues to work.
        days: until the new key expires; None keeps the expiry date of the old one.

    Raises:
        ValueError: there is no such key, it is revoked, or the new one would have expired already.
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
            f"the key {name!r} expired on {expires_at:%Y-%m-%d}; choose with --days how long the new one lasts"
        )
    key = _new_key()
    previous = {"previous_digest": row.digest, "previous_until": now + grace}
    ServiceKey.objects.filter(pk=row.pk).update(**_key_columns(key), **previous, expires_at=expires_at)
    return key


def record_service_key_use(key: ServiceKey) -> None:
    """Record when a key was last used, to the minute. A request neither waits for this nor fails because of it."""
    if time.monotonic() - _last_recorded.get(key.pk, -LAST_USED_RESOLUTION_SECONDS) < LAST_USED_RESOLUTION_SECONDS:
        return
    now = timezone.now()
    minute_ago = now - timedelta(seconds=LAST_USED_RESOLUTION_SECONDS)
    if (key.last_used_at or minute_ago) > minute_ago:
        return
    _last_recorded[key.pk] = time.monotonic()  # before the update, so that no request repeats one that fails
    try:
        with _short_sqlite_timeout():
            due = Q(last_used_at=None) | Q(last_used_at__lt=minute_ago)
            ServiceKey.objects.filter(due, pk=key.pk).update(last_used_at=now)
    except DatabaseError as error:
        logger.warning("the last use of the service key %s was not recorded: %s", key.prefix, error)


@contextmanager
def _short_sqlite_timeout() -> Iterator[None]:
    """Wait for SQLite's lock only briefly: it has one writer at a time, and an import may write for seconds."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        [timeout] = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {timeout}")


def _new_key() -> str:
    return f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"


def _key_columns(key: str) -> dict[str, str]:
    """Return the columns that identify a key, which itself is not stored."""
    return {"prefix": key[:12], "digest": service_key_digest(key)}


def _expiry(days: int | None) -> datetime | None:
    return None if days is None else timezone.now() + timedelta(days=days)


def lock_user(user_id: int) -> None:
    """Make other transactions that lock the same user wait until this one ends."""
    User.objects.select_for_update().filter(pk=user_id).first()


def bump_user_revisions(user_ids: Iterable[int]) -> None:
    """Give users a new revision, so that from the commit on responses cached for them are out of date.

    Call it after every change of interactions or preferences, at the end of the transaction, because it locks the rows.
    """
    ids, revision = sorted(set(user_ids)), new_revision()
    transaction.on_commit(lambda: add_stale_listeners(ids), robust=True)
    if connection.vendor == "postgresql":  # lock in order of id, so that two transactions cannot deadlock
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
    """Return a random number: unlike a counter, it never repeats an earlier revision after a backup was restored."""
    return secrets.randbits(62)


def revoke_service_keys(keys: Iterable[ServiceKey]) -> int:
    """Revoke keys with immediate effect and return how many were not revoked before."""
    ids = [key.pk for key in keys]
    return ServiceKey.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=timezone.now())


def get_or_create_user_ids(external_ids: Collection[str]) -> dict[str, int]:
    """Return user ids by external id. Unknown listeners are created, without a password.

    Erased listeners are left out and not created again.
    """
    to_find = set(external_ids) - erased_external_ids(external_ids)
    user_ids = user_ids_by_external_id(to_find)
    password = make_password(None)  # unusable
    for is_retry in (False, True):
        missing = to_find - user_ids.keys()
        if not missing:
            break
        # Conflicts are ignored: another process may have created the same listener, or the user name belongs to
        # somebody else. The retry uses a distinct name.
        users = [User(external_id=e, username=make_username(e, distinct=is_retry), password=password) for e in missing]
        # In the order of user names, as `upsert_listeners`, so that two transactions cannot deadlock.
        User.objects.bulk_create(sorted(users, key=lambda user: user.username), ignore_conflicts=True)
        user_ids |= user_ids_by_external_id(missing)
    return user_ids


def get_or_create_listener_ids(references: Collection[int | ExternalId]) -> dict[int | ExternalId, int]:
    """Return user ids by reference, and create listeners whose external id is unknown.

    Integers are returned whether or not the listener exists. Erased listeners are left out and not created again.
    """
    ids = find_listener_ids(references)
    if unknown := {r.text for r in references if isinstance(r, ExternalId) and r not in ids}:
        ids |= {ExternalId(text): user_id for text, user_id in get_or_create_user_ids(unknown).items()}
    return ids


def make_username(external_id: str, *, distinct: bool) -> str:
    """Return the external id in the characters allowed in a user name, with a hash appended to make it distinct."""
    username = re.sub(r"[^\w.@+-]", "-", external_id)
    return f"{username}-{hashlib.sha256(external_id.encode()).hexdigest()[:8]}" if distinct else username
