"""Sign in, stay signed in, sign out.

A sign-in is a row of `sign_ins`, and its tokens contain the row's id. An access token is valid while the row exists. Of
the refresh tokens only the newest is valid. If an older one is used again, it or its successor was stolen, so the whole
sign-in ends.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import RefreshToken

from access.models import SignIn, User

logger = logging.getLogger(__name__)
SIGN_IN_CLAIM = "sid"
MAX_SIGN_INS = 100  # per listener; the oldest are ended: an app that never refreshes adds one an hour


class InvalidRefreshToken(Exception):
    """The refresh token is not genuine, has expired or was used before, or its sign-in has ended."""


class UnknownAccount(Exception):
    """There is no such listener, or their account is closed."""


class OperatorSignIn(Exception):
    """The account belongs to staff, whom a service key must not sign in."""


@dataclass(frozen=True)
class TokenPair:
    """The tokens of one sign-in: `access` for requests, `refresh` for the next pair."""

    access: str
    refresh: str
    user_id: int


@dataclass(frozen=True)
class RefreshClaims:
    """The claims of a refresh token: its sign-in, the user, and the id of the token itself."""

    sign_in: uuid.UUID
    user_id: int
    jti: str

    @classmethod
    def read(cls, token: str) -> "RefreshClaims":
        """Verify a refresh token and return its claims.

        Raises:
            InvalidRefreshToken: the token is not genuine or has expired.
        """
        try:
            claims = RefreshToken(token)  # type: ignore[arg-type]
            return cls(uuid.UUID(claims[SIGN_IN_CLAIM]), int(claims[api_settings.USER_ID_CLAIM]), str(claims["jti"]))
        except (TokenError, KeyError, ValueError, TypeError) as error:
            raise InvalidRefreshToken from error


def sign_in(user: User) -> TokenPair:
    """Create a sign-in for a user who has been authenticated. Expired and surplus sign-ins are deleted."""
    user.sign_ins.filter(expires_at__lt=timezone.now()).delete()
    surplus = list(user.sign_ins.order_by("-refreshed_at").values_list("pk", flat=True)[MAX_SIGN_INS - 1 :])
    if surplus:
        SignIn.objects.filter(pk__in=surplus).delete()
    refresh_token = _new_refresh_token(user.pk, uuid.uuid4())
    SignIn.objects.create(pk=refresh_token[SIGN_IN_CLAIM], user=user, **_refresh_columns(refresh_token))
    return _token_pair(refresh_token)


@transaction.atomic
def mint_tokens(user_id: int) -> TokenPair:
    """Create a sign-in for a listener whom the app's back end has authenticated.

    Raises:
        UnknownAccount: there is no such listener, or the account is closed.
        OperatorSignIn: the account belongs to staff.
    """
    user = User.objects.select_for_update().filter(pk=user_id, is_active=True).first()
    if user is None:
        raise UnknownAccount
    if user.is_staff or user.is_superuser:
        raise OperatorSignIn
    return sign_in(user)


def refresh_tokens(token: str) -> TokenPair:
    """Return the next pair of tokens and invalidate the given refresh token.

    Raises:
        InvalidRefreshToken: the token is invalid; if it was used before, its sign-in has been ended.
    """
    claims = RefreshClaims.read(token)
    new_token = _new_refresh_token(claims.user_id, claims.sign_in)
    rows = SignIn.objects.filter(pk=claims.sign_in, user_id=claims.user_id, refresh_id=claims.jti, user__is_active=True)
    # Checked and updated by one statement, so that of two concurrent requests only one succeeds.
    if not rows.update(**_refresh_columns(new_token)):
        if SignIn.objects.filter(pk=claims.sign_in).delete()[0]:
            logger.warning("a refresh token of listener %s was used twice; the sign-in has been ended", claims.user_id)
        raise InvalidRefreshToken
    return _token_pair(new_token)


def sign_out(token: str, *, everywhere: bool = False) -> None:
    """End the sign-in of a refresh token, or with `everywhere` all sign-ins of its listener.

    Signing out again does nothing. An older token of a sign-in is accepted, but not with `everywhere`.

    Raises:
        InvalidRefreshToken: the token is invalid.
    """
    claims = RefreshClaims.read(token)
    sign_ins = SignIn.objects.filter(pk=claims.sign_in)
    if everywhere:
        if not sign_ins.filter(user_id=claims.user_id, refresh_id=claims.jti).exists():
            raise InvalidRefreshToken
        sign_ins = SignIn.objects.filter(user_id=claims.user_id)
    sign_ins.delete()


def sign_out_everywhere(users: Iterable[User]) -> int:
    """End all sign-ins of these users and return how many there were."""
    return SignIn.objects.filter(user__in=[user.pk for user in users]).delete()[0]


def _new_refresh_token(user_id: int, sign_in: uuid.UUID) -> RefreshToken:
    token = RefreshToken()
    token[api_settings.USER_ID_CLAIM], token[SIGN_IN_CLAIM] = str(user_id), str(sign_in)
    return token


def _refresh_columns(token: RefreshToken) -> dict[str, object]:
    """Return the columns of a sign-in whose newest refresh token this is."""
    now = timezone.now()
    return {"refresh_id": token["jti"], "refreshed_at": now, "expires_at": now + api_settings.REFRESH_TOKEN_LIFETIME}


def _token_pair(token: RefreshToken) -> TokenPair:
    return TokenPair(str(token.access_token), str(token), int(token[api_settings.USER_ID_CLAIM]))
