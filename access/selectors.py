from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db.models import BigIntegerField, CharField, DateTimeField, Q, QuerySet, UUIDField
from django.utils import timezone
from django.utils.crypto import salted_hmac

from access.models import Erasure, ServiceKey, User
from common.prepared_queries import QueryParameter, RowsAsJson

NOW = QueryParameter("now", DateTimeField())
LISTENER = QueryParameter("listener", BigIntegerField())
DIGEST = QueryParameter("digest", CharField())
SIGN_IN = QueryParameter("sign_in", UUIDField())


@dataclass(frozen=True)
class ListenerSettings:
    """What a listener has said about how they want to be served. known: there is such a listener · revision: of what
    they did and like."""

    known: bool = False
    consent: bool = True
    market: str = ""
    allow_explicit: bool = True
    revision: int = 0


def find_service_key(key: str) -> ServiceKey | None:
    """The service key that `key` is, or was until a moment ago; None where it is revoked, over, or never existed."""
    return usable_service_keys(ServiceKey.digest_of(key), timezone.now()).first()


def usable_service_keys(digest: Any, now: Any) -> QuerySet[ServiceKey]:
    """At most one."""
    is_it = Q(digest=digest) | Q(previous_digest=digest, previous_until__gt=now)
    lasts = Q(expires_at=None) | Q(expires_at__gt=now)
    return ServiceKey.objects.filter(is_it, lasts, revoked_at=None)


def find_signed_in_user(user_id: int, sign_in: UUID) -> User | None:
    """The listener, unless the account is closed or gone, or the sign-in has ended."""
    return signed_in_users(user_id, sign_in).first()


def signed_in_users(user_id: Any, sign_in: Any) -> QuerySet[User]:
    """At most one."""
    return User.objects.filter(pk=user_id, is_active=True, sign_ins=sign_in)


def listener_settings_subquery(listener: Any = LISTENER) -> RowsAsJson:
    """The `Standing` of a listener, to be read by `standing_in`. Who is being erased is nobody already."""
    columns = ("consent", "market", "allow_explicit", "revision")
    return RowsAsJson(User.objects.filter(pk=listener, is_active=True).values(*columns), columns)


def parse_listener_settings(column: str | None) -> ListenerSettings:
    found = orjson.loads(column) if column else []
    if not found:
        return ListenerSettings()
    consent, market, allow_explicit, revision = found[0]
    return ListenerSettings(True, bool(consent), market, bool(allow_explicit), revision)


def user_ids_by_external_id(external_ids: Collection[str]) -> dict[str, int]:
    """Ids of the listeners with these outside ids; those not seen before, or being erased, are left out."""
    leaving = Erasure.objects.filter(completed_at=None).values("user_id")
    known = User.objects.filter(external_id__in=external_ids).exclude(pk__in=leaving).values_list("external_id", "pk")
    return {str(external_id): pk for external_id, pk in known}


def consent_by_user_id(user_ids: Collection[int]) -> dict[int, bool]:
    """Of these listeners those that there are, and whether they agreed that events are kept. Who is being erased is
    not among them."""
    return dict(User.objects.filter(pk__in=user_ids, is_active=True).values_list("pk", "consent"))


def external_id_digest(external_id: str) -> str:
    """What is kept of the outside id of a listener who was erased: an HMAC, which says nothing without the key."""
    return salted_hmac("access.Erasure", external_id, algorithm="sha256").hexdigest()


def erased_external_ids(external_ids: Collection[str]) -> set[str]:
    """Those of the outside ids whose listeners wished to be forgotten."""
    if not Erasure.objects.filter(~Q(external_digest="")).exists():
        return set()
    digests = {external_id_digest(e): e for e in external_ids}
    erased = Erasure.objects.filter(~Q(external_digest=""), external_digest__in=digests)
    return {digests[digest] for digest in erased.values_list("external_digest", flat=True)}
