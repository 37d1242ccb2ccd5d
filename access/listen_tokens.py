"""Tokens of listeners for clients that scrobble: random UUIDs, as ListenBrainz has them, stored as their SHA-256."""

import hashlib
import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone

from access.models import ListenToken, User

LAST_USED_RESOLUTION = timedelta(minutes=1)
PREFIX_LENGTH = 8


def create_listen_token(user_id: int, name: str = "") -> str:
    """Create a listen token and return it in clear, which is not possible again.

    Raises:
        ValueError: the listener does not exist or their account is closed, or the name is too long.
    """
    if not User.objects.filter(pk=user_id, is_active=True).exists():
        raise ValueError(f"there is no listener {user_id}, or their account is closed")
    max_length = ListenToken._meta.get_field("name").max_length or 0
    if len(name) > max_length:
        raise ValueError(f"the name has {len(name)} characters; it may have {max_length}")
    token = str(uuid.uuid4())
    ListenToken.objects.create(user_id=user_id, name=name, prefix=token[:PREFIX_LENGTH], digest=_digest(token))
    return token


def find_listen_token(token: str) -> ListenToken | None:
    """Return the listen token with its user, or None if it is unknown or revoked, or the account is closed."""
    tokens = ListenToken.objects.filter(digest=_digest(token), revoked_at=None, user__is_active=True)
    return tokens.select_related("user").first()


def record_listen_token_use(token: ListenToken) -> None:
    """Record when a token was last used, to the minute."""
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at >= LAST_USED_RESOLUTION:
        ListenToken.objects.filter(pk=token.pk).update(last_used_at=now)


def revoke_listen_tokens(tokens: Iterable[ListenToken]) -> int:
    """Revoke tokens with immediate effect and return how many were not revoked before."""
    ids = [token.pk for token in tokens]
    return ListenToken.objects.filter(pk__in=ids, revoked_at=None).update(revoked_at=timezone.now())


def _digest(token: str) -> str:
    return hashlib.sha256(token.strip().lower().encode("utf-8", "replace")).hexdigest()
