"""Tokens for clients that scrobble: random UUIDs, as those of ListenBrainz, of which only the SHA-256 is kept."""

import hashlib
import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone

from access.models import ListenToken, User

LAST_USED_RESOLUTION = timedelta(minutes=1)  # how exact `last_used_at` is
PREFIX_LENGTH = 8  # characters


def create_listen_token(user_id: int, name: str = "") -> str:
    """A new token, in clear for the only time. Raises ValueError for a listener that there is not, and a long name."""
    if not User.objects.filter(pk=user_id, is_active=True).exists():
        raise ValueError(f"there is no listener {user_id}, or their account is closed")
    if len(name) > (longest := ListenToken._meta.get_field("name").max_length or 0):
        raise ValueError(f"the name has {len(name)} characters; it may have {longest}")
    token = str(uuid.uuid4())
    ListenToken.objects.create(user_id=user_id, name=name, prefix=token[:PREFIX_LENGTH], digest=_digest(token))
    return token


def find_listen_token(token: str) -> ListenToken | None:
    """The token that `token` is, with its listener, unless it was revoked, the account is closed, or there never was
    one."""
    usable = ListenToken.objects.filter(digest=_digest(token), revoked_at=None, user__is_active=True)
    return usable.select_related("user").first()


def record_listen_token_use(token: ListenToken) -> None:
    """When it was used last, to the minute."""
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at >= LAST_USED_RESOLUTION:
        ListenToken.objects.filter(pk=token.pk).update(last_used_at=now)


def revoke_listen_tokens(tokens: Iterable[ListenToken]) -> int:
    """Stop them at once; gives how many were still in use."""
    ids = [token.pk for token in tokens]
    return ListenToken.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=timezone.now())


def _digest(token: str) -> str:
    return hashlib.sha256(token.strip().lower().encode("utf-8", "replace")).hexdigest()
