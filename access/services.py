import hashlib
import re
import secrets
from collections.abc import Collection, Iterable

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from access.models import Scope, ServiceKey, User
from access.selectors import listener_ids


def create_service_key(name: str, scopes: Iterable[str]) -> str:
    """A new key, in clear for the only time. Raises ValueError for an unknown scope or a name that is taken."""
    wanted = sorted(set(scopes))
    if unknown := set(wanted) - set(Scope.values):
        raise ValueError(f"unknown scope {', '.join(sorted(unknown))}; scopes are {', '.join(Scope.values)}")
    if not wanted:
        raise ValueError(f"a key needs a scope; scopes are {', '.join(Scope.values)}")
    if ServiceKey.objects.filter(name=name).exists():
        raise ValueError(f"a key named {name!r} exists; choose another name")
    key = f"mr_{secrets.token_urlsafe(32)}"
    ServiceKey.objects.create(name=name, prefix=key[:12], digest=ServiceKey.digest_of(key), scopes=wanted)
    return key


def revoke_service_keys(keys: Iterable[ServiceKey]) -> int:
    """Stop them at once; gives how many were still in use."""
    ids = [key.pk for key in keys]
    return ServiceKey.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=timezone.now())


def listeners_by_external_id(external_ids: Collection[str]) -> dict[str, int]:
    """Ids of the listeners with these outside ids; those not seen before are created, without a password."""
    wanted = set(external_ids)
    found = listener_ids(wanted)
    for username_of in (_plain_username, _distinct_username):
        if missing := sorted(wanted - found.keys()):
            unusable = make_password(None)
            User.objects.bulk_create(
                [User(external_id=e, username=username_of(e), password=unusable) for e in missing],
                ignore_conflicts=True,  # another process was first, or the username is somebody else's
            )
            found |= listener_ids(missing)
    return found


def _plain_username(external_id: str) -> str:
    """The outside id, in the characters that a username may have."""
    return re.sub(r"[^\w.@+-]", "-", external_id)


def _distinct_username(external_id: str) -> str:
    """For an outside id whose plain username is taken."""
    return f"{_plain_username(external_id)}-{hashlib.sha256(external_id.encode()).hexdigest()[:8]}"
