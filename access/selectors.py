import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db.models import BigIntegerField, CharField, DateTimeField, Q, QuerySet, UUIDField
from django.utils import timezone
from django.utils.crypto import salted_hmac

from access.models import Erasure, ServiceKey, User
from common.http.references import INT64_MAX, ExternalId
from common.prepared_queries import QueryParameter, RowsAsJson

# Parameters of the prepared queries that read everything about a request at once.
NOW = QueryParameter("now", DateTimeField())
LISTENER = QueryParameter("listener", BigIntegerField())
DIGEST = QueryParameter("digest", CharField())
SIGN_IN = QueryParameter("sign_in", UUIDField())


@dataclass(frozen=True)
class ListenerSettings:
    """How a listener wants to be served, and the revision of their interactions and preferences.

    The defaults apply to listeners that do not exist; only then is `exists` false.
    """

    exists: bool = False
    consent: bool = True
    market: str = ""
    allow_explicit: bool = True
    revision: int = 0


def find_service_key(key: str) -> ServiceKey | None:
    """Return the service key, or None if it is unknown, expired or revoked.

    A key that was replaced is valid until its grace period ends.
    """
    return usable_service_keys(service_key_digest(key), timezone.now()).first()


def service_key_digest(key: str) -> str:
    """Return the SHA-256 that a service key is stored and found by."""
    return hashlib.sha256(key.encode()).hexdigest()


def usable_service_keys(digest: Any, now: Any) -> QuerySet[ServiceKey]:
    """Return a query for the valid service key with this digest: at most one row."""
    has_digest = Q(digest=digest) | Q(previous_digest=digest, previous_until__gt=now)
    is_current = Q(expires_at=None) | Q(expires_at__gt=now)
    return ServiceKey.objects.filter(has_digest, is_current, revoked_at=None)


def find_signed_in_user(user_id: int, sign_in: UUID) -> User | None:
    """Return the listener of a token, or None if the account is closed or deleted, or the sign-in has ended."""
    return signed_in_users(user_id, sign_in).first()


def signed_in_users(user_id: Any, sign_in: Any) -> QuerySet[User]:
    """Return a query for the listener of a token: at most one row."""
    return User.objects.filter(pk=user_id, is_active=True, sign_ins=sign_in)


def listener_settings_subquery(listener: Any = LISTENER) -> RowsAsJson:
    """Return a subquery for a listener's settings, for `parse_listener_settings`; empty if their erasure is pending."""
    columns = ("consent", "market", "allow_explicit", "revision")
    return RowsAsJson(User.objects.filter(pk=listener, is_active=True).values(*columns), columns)


def parse_listener_settings(column: str | None) -> ListenerSettings:
    rows = orjson.loads(column) if column else []
    if not rows:
        return ListenerSettings()
    consent, market, allow_explicit, revision = rows[0]
    return ListenerSettings(True, bool(consent), market, bool(allow_explicit), revision)


def other_audiences() -> Iterator[tuple[int, str, bool]]:
    """Yield the id, the market and the wish for explicit tracks of the listeners who do not have the default ones."""
    others = User.objects.exclude(market="", allow_explicit=True)
    return others.values_list("pk", "market", "allow_explicit").iterator()


def user_ids_by_external_id(external_ids: Collection[str]) -> dict[str, int]:
    """Return user ids by external id, without listeners that do not exist or whose erasure is pending."""
    pending = Erasure.objects.filter(completed_at=None).values("user_id")
    users = User.objects.filter(external_id__in=external_ids).exclude(pk__in=pending)
    return {str(external_id): pk for external_id, pk in users.values_list("external_id", "pk")}


def find_listener_id(reference: int | ExternalId) -> int | None:
    """Return the id of the listener that a reference names, or None if there cannot be such a listener.

    An integer needs no query and is returned whether or not the listener exists. An external id is looked up; listeners
    whose erasure is pending are not found.
    """
    return find_listener_ids([reference]).get(reference)


def find_listener_ids(references: Collection[int | ExternalId]) -> dict[int | ExternalId, int]:
    """Return what `find_listener_id` does for many references, in one query, without listeners that cannot exist."""
    texts = [reference.text for reference in references if isinstance(reference, ExternalId)]
    by_text = user_ids_by_external_id(texts) if texts else {}
    ids: dict[int | ExternalId, int] = {ExternalId(text): user_id for text, user_id in by_text.items()}
    return ids | {i: i for i in references if isinstance(i, int) and 0 <= i <= INT64_MAX}


def consent_by_user_id(user_ids: Collection[int]) -> dict[int, bool]:
    """Return whether each of these listeners consents to storing events.

    Listeners that do not exist or whose erasure is pending are left out.
    """
    return dict(User.objects.filter(pk__in=user_ids, is_active=True).values_list("pk", "consent"))


def consent_of_locked_listeners(user_ids: Collection[int]) -> dict[int, bool]:
    """Return what `consent_by_user_id` does, and lock the listeners' rows until the end of the transaction."""
    users = User.objects.select_for_update(no_key=True).filter(pk__in=user_ids, is_active=True).order_by("pk")
    return dict(users.values_list("pk", "consent"))


def external_id_digest(external_id: str) -> str:
    """Return the HMAC of an external id: all that is stored of it after an erasure. It cannot be reversed."""
    return salted_hmac("access.Erasure", external_id, algorithm="sha256").hexdigest()


def erased_external_ids(external_ids: Collection[str]) -> set[str]:
    """Return the external ids among these whose listeners were erased or have asked for it."""
    if not Erasure.objects.filter(~Q(external_digest="")).exists():
        return set()
    digests = {external_id_digest(external_id): external_id for external_id in external_ids}
    erased = Erasure.objects.filter(~Q(external_digest=""), external_digest__in=digests)
    return {digests[digest] for digest in erased.values_list("external_digest", flat=True)}


def find_erased_listener_id(external_id: str) -> int | None:
    """Return the id that an erased listener had, or one who has asked for it; None if there is none."""
    erasures = Erasure.objects.filter(~Q(external_digest=""), external_digest=external_id_digest(external_id))
    return erasures.order_by("-requested_at").values_list("user_id", flat=True).first()
