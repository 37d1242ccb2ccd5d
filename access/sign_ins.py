"""Signing in, staying signed in, signing out.

A sign-in is a row; its tokens name it. An access token is good while the row is there. Of the refresh tokens only the
newest works: an older one coming again was stolen, or its successor was, so the whole sign-in ends.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from access.models import SignIn, User

logger = logging.getLogger(__name__)
SIGN_IN_CLAIM = "sid"
MAX_SIGN_INS = 100  # per listener; the oldest are ended: an app that never refreshes adds one an hour


class InvalidRefreshToken(Exception):
    """The refresh token is not one of ours, has expired or was used before; or the listener has signed out."""


@dataclass(frozen=True)
class TokenPair:
    """Of one sign-in: `access` for requests, `refresh` for the next pair."""

    access: str
    refresh: str
    user_id: int


@dataclass(frozen=True)
class RefreshClaims:
    """What a refresh token says: whose sign-in, and which of its tokens it is."""

    sign_in: uuid.UUID
    user_id: int
    jti: str

    @classmethod
    def read(cls, token: str) -> "RefreshClaims":
        """Raises Refused."""
        try:
            said = RefreshToken(token)  # type: ignore[arg-type]
            return cls(uuid.UUID(said[SIGN_IN_CLAIM]), int(said[api_settings.USER_ID_CLAIM]), str(said["jti"]))
        except (TokenError, KeyError, ValueError, TypeError) as error:
            raise InvalidRefreshToken from error


def sign_in(user: User) -> TokenPair:
    """user: whose password was right."""
    _make_room(user)
    new = _refresh_token(user.pk, uuid.uuid4())
    SignIn.objects.create(pk=new[SIGN_IN_CLAIM], user=user, **_current(new))
    return _tokens(new)


def refresh(token: str) -> TokenPair:
    """The next pair; `token` has worked for the last time. Raises Refused."""
    old = RefreshClaims.read(token)
    new = _refresh_token(old.user_id, old.sign_in)
    rows = SignIn.objects.filter(pk=old.sign_in, user_id=old.user_id, refresh_id=old.jti, user__is_active=True)
    if not rows.update(**_current(new)):  # one statement: of two at once with the same token, one is refused
        if SignIn.objects.filter(pk=old.sign_in).delete()[0]:
            logger.warning("a used refresh token of listener %s came again; their sign-in has ended", old.user_id)
        raise InvalidRefreshToken
    return _tokens(new)


def sign_out(token: str, *, everywhere: bool = False) -> None:
    """End the sign-in of a refresh token; everywhere: all of that listener's, for which it must be the newest one.

    Raises Refused; not for a sign-in that has ended already.
    """
    old = RefreshClaims.read(token)
    if everywhere and not SignIn.objects.filter(pk=old.sign_in, user_id=old.user_id, refresh_id=old.jti).exists():
        raise InvalidRefreshToken
    SignIn.objects.filter(**({"user_id": old.user_id} if everywhere else {"pk": old.sign_in})).delete()


def sign_out_everywhere(users: Iterable[User]) -> int:
    """Gives how many sign-ins have ended."""
    return SignIn.objects.filter(user__in=[user.pk for user in users]).delete()[0]


def _make_room(user: User) -> None:
    """Forget sign-ins that are over, and the oldest of too many."""
    user.sign_ins.filter(expires_at__lt=timezone.now()).delete()
    oldest = list(user.sign_ins.order_by("-refreshed_at").values_list("pk", flat=True)[MAX_SIGN_INS - 1 :])
    if oldest:
        SignIn.objects.filter(pk__in=oldest).delete()


def _refresh_token(user_id: int, sign_in: uuid.UUID) -> RefreshToken:
    token = RefreshToken()
    token[api_settings.USER_ID_CLAIM], token[SIGN_IN_CLAIM] = str(user_id), str(sign_in)
    return token


def _current(token: RefreshToken) -> dict[str, object]:
    """The columns of a sign-in whose newest refresh token this is."""
    now = timezone.now()
    return {"refresh_id": token["jti"], "refreshed_at": now, "expires_at": now + api_settings.REFRESH_TOKEN_LIFETIME}


def _tokens(token: RefreshToken) -> TokenPair:
    return TokenPair(str(token.access_token), str(token), int(token[api_settings.USER_ID_CLAIM]))
