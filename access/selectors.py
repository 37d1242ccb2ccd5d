from collections.abc import Collection

from access.models import ServiceKey, User


def usable_key(key: str) -> ServiceKey | None:
    """The service key that `key` is, unless it was revoked or never existed."""
    return ServiceKey.objects.filter(digest=ServiceKey.digest_of(key), revoked_at=None).first()


def listener_ids(external_ids: Collection[str]) -> dict[str, int]:
    """Ids of the listeners with these outside ids; those not seen before are left out."""
    known = User.objects.filter(external_id__in=external_ids).values_list("external_id", "pk")
    return {str(external_id): pk for external_id, pk in known}


def existing_listeners(user_ids: Collection[int]) -> set[int]:
    return set(User.objects.filter(pk__in=user_ids).values_list("pk", flat=True))
