from collections.abc import Collection
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

from access.models import Erasure, ServiceKey, User


def usable_key(key: str) -> ServiceKey | None:
    """The service key that `key` is, or was until a moment ago; None where it is revoked, over, or never existed."""
    digest, now = ServiceKey.digest_of(key), timezone.now()
    is_it = Q(digest=digest) | Q(previous_digest=digest, previous_until__gt=now)
    lasts = Q(expires_at=None) | Q(expires_at__gt=now)
    return ServiceKey.objects.filter(is_it, lasts, revoked_at=None).first()


def listener_of_token(user_id: int, sign_in: UUID) -> User | None:
    """The listener, unless the account is closed or gone, or the sign-in has ended."""
    return User.objects.filter(pk=user_id, is_active=True, sign_ins=sign_in).first()


def listener_ids(external_ids: Collection[str]) -> dict[str, int]:
    """Ids of the listeners with these outside ids; those not seen before, or being erased, are left out."""
    leaving = Erasure.objects.filter(completed_at=None).values("user_id")
    known = User.objects.filter(external_id__in=external_ids).exclude(pk__in=leaving).values_list("external_id", "pk")
    return {str(external_id): pk for external_id, pk in known}


def agreeing_listeners(user_ids: Collection[int]) -> dict[int, bool]:
    """Of these listeners those that there are, and whether they agreed that events are kept. Who is being erased is
    not among them."""
    return dict(User.objects.filter(pk__in=user_ids, is_active=True).values_list("pk", "consent"))


def external_digest(external_id: str) -> str:
    """What is kept of the outside id of a listener who was erased: an HMAC, which says nothing without the key."""
    return salted_hmac("access.Erasure", external_id, algorithm="sha256").hexdigest()


def erased_external_ids(external_ids: Collection[str]) -> set[str]:
    """Those of the outside ids whose listeners wished to be forgotten."""
    if not Erasure.objects.filter(~Q(external_digest="")).exists():
        return set()
    digests = {external_digest(e): e for e in external_ids}
    erased = Erasure.objects.filter(~Q(external_digest=""), external_digest__in=digests)
    return {digests[digest] for digest in erased.values_list("external_digest", flat=True)}
