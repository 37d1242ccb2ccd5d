"""Authentication of the two kinds of principal: service keys of back ends and tokens of listeners.

A listener's token is an access token of a sign-in here, or a JWT of the app's identity provider.

A view that needs more from the database than the principal can load both in one query: it uses subclasses that override
`find_key`, `find_user` and `load_provider_user`, with `@extend_schema(auth=SCHEMES)`, since drf-spectacular does not
know the subclasses.
"""

import time
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import jwt
from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import ExpiredTokenError, InvalidToken, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, Token

from access.identity_provider import authenticate_provider_token
from access.models import ServiceKey, User
from access.selectors import find_service_key, find_signed_in_user
from access.services import KEY_PREFIX, record_service_key_use
from access.sign_ins import SIGN_IN_CLAIM

KEYWORD = "Api-Key"
BEARER = "Bearer"
MAX_TOKEN_LENGTH = 8192
EXPIRED = "this token has expired; refresh it, or sign in again"
SCHEMES: Any = [{"ServiceKey": []}, {"ListenerToken": []}]  # by their names in the OpenAPI schema


class ServiceKeyAuthentication(BaseAuthentication):
    """Authenticate a back end by `Authorization: Api-Key KEY`.

    `request.auth` is the ServiceKey. `request.user` stays anonymous, because a back end is not a listener.
    """

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ServiceKey] | None:
        scheme, _, key = get_authorization_header(request).partition(b" ")
        if scheme.lower() != KEYWORD.lower().encode():
            return None
        return self.authenticate_key(request, key)

    def authenticate_key(self, request: Request, key: bytes) -> tuple[AnonymousUser, ServiceKey]:
        service_key = self.find_key(request, key.strip().decode("latin-1"))
        if service_key is None:
            raise AuthenticationFailed(
                "this service key is unknown, expired or revoked; create one with create_service_key"
            )
        record_service_key_use(service_key)
        return AnonymousUser(), service_key

    def find_key(self, request: Request, key: str) -> ServiceKey | None:
        return find_service_key(key)

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD


class ListenerTokenAuthentication(JWTAuthentication):
    """Authenticate a listener by `Authorization: Bearer TOKEN`.

    The token is an access token (JWT) whose sign-in has not ended, or, if it names an issuer, a JWT of the identity
    provider. `request.auth` is the token or its claims.
    """

    def authenticate(self, request: Request) -> tuple[User, Any] | None:  # type: ignore[override]
        scheme, _, raw_token = get_authorization_header(request).partition(b" ")
        if scheme.lower() != BEARER.lower().encode():  # RFC 9110: the name of a scheme is case-insensitive
            return None
        raw_token = raw_token.strip()
        if len(raw_token) > MAX_TOKEN_LENGTH:
            raise AuthenticationFailed(
                f"this token has {len(raw_token)} characters; it may have {MAX_TOKEN_LENGTH}", code="token_not_valid"
            )
        try:
            claims = _verify_token(raw_token)
        except _HasIssuer:
            user, provider_claims = authenticate_provider_token(raw_token)
            self.load_provider_user(request, user)
            return user, provider_claims
        if claims.token["exp"] <= time.time():  # `_verify_token` is cached, so the token may have expired since
            raise InvalidToken(EXPIRED)
        user_or_none = self.find_user(request, claims.user_id, claims.sign_in) if claims.sign_in else None
        if user_or_none is None:
            raise AuthenticationFailed("this token is no longer valid; refresh it, or sign in again")
        return user_or_none, claims.token

    def find_user(self, request: Request, user_id: int, sign_in: UUID) -> User | None:
        return find_signed_in_user(user_id, sign_in)

    def load_provider_user(self, request: Request, user: User) -> None:
        """Load what the view needs about a listener whom the identity provider names."""


class AccessTokenClaims(NamedTuple):
    """The claims of an access token. `sign_in` is None for tokens of releases that did not have sign-ins."""

    user_id: int
    sign_in: UUID | None
    token: Token


class _HasIssuer(Exception):
    """The token names an issuer (`iss`), so that it is not one of our own."""


@lru_cache(maxsize=4096)
def _verify_token(raw_token: bytes) -> AccessTokenClaims:
    """Check a token's signature and form; cached, because that takes longer than the query for the listener.

    Raises:
        InvalidToken: they are wrong, or the token has expired.
        _HasIssuer: the token is not one of our own.
    """
    if raw_token.startswith(KEY_PREFIX.encode()):
        raise InvalidToken(f"this is a service key; send it as Authorization: {KEYWORD} KEY")
    try:
        if "iss" in jwt.decode(raw_token, options={"verify_signature": False}):
            raise _HasIssuer
        token = AccessToken(raw_token)  # type: ignore[arg-type]
    except ExpiredTokenError as error:
        raise InvalidToken(EXPIRED) from error
    except (TokenError, jwt.PyJWTError, ValueError, RecursionError) as error:
        reason = error.__cause__ if isinstance(error, TokenError) and error.__cause__ else error
        raise InvalidToken(f"this is not a valid access token: {reason}") from error
    sign_in = token.get(SIGN_IN_CLAIM)
    return AccessTokenClaims(int(token[api_settings.USER_ID_CLAIM]), UUID(sign_in) if sign_in else None, token)


class ServiceKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "access.authentication.ServiceKeyAuthentication"
    name = "ServiceKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Api-Key KEY`, a key of `manage.py create_service_key`",
        }


class ListenerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "access.authentication.ListenerTokenAuthentication"
    name = "ListenerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        description = "An access token of `/token`, or a JWT of the app's own identity provider"
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": description}
