from access.models import ServiceKey, User


def usable_key(key: str) -> ServiceKey | None:
    """The service key that `key` is, unless it was revoked or never existed."""
    return ServiceKey.objects.filter(digest=ServiceKey.digest_of(key), revoked_at=None).first()


def listener(user_id: int) -> User | None:
    return User.objects.filter(pk=user_id, is_active=True).first()
