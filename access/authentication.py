"""Two principals: service keys for back ends (`Authorization: Api-Key KEY`), JWTs for phones (`Bearer TOKEN`).

A view that needs more of the database finds them itself, in one query with that, by methods `find_key(request, key)`
and `find_listener(request, user_id, sign_in)`.
"""

import time
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from access.models import ServiceKey, User
from access.selectors import find_service_key, find_signed_in_user
from access.services import record_service_key_use
from access.sign_ins import SIGN_IN_CLAIM

KEYWORD = "Api-Key"


class ServiceKeyAuthentication(BaseAuthentication):
    """`request.auth` is the ServiceKey; `request.user` stays anonymous, for a back end is nobody."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ServiceKey] | None:
        scheme, _, key = get_authorization_header(request).partition(b" ")
        if scheme.lower() != KEYWORD.lower().encode():
            return None
        find = getattr(_view(request), "find_key", _find_key)
        service_key = find(request, key.strip().decode("latin-1"))
        if service_key is None:
            raise AuthenticationFailed(
                "this service key is unknown, expired or revoked; create one with create_service_key"
            )
        record_service_key_use(service_key)
        return AnonymousUser(), service_key

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD


class ListenerTokenAuthentication(JWTAuthentication):
    """`request.user` is the listener of the JWT, whose sign-in has not ended. One query."""

    def authenticate(self, request: Request) -> tuple[User, Token] | None:  # type: ignore[override]
        header = self.get_header(request)
        raw = None if header is None else self.get_raw_token(header)
        if raw is None:
            return None
        claims = read_access_token(raw)
        find = getattr(_view(request), "find_listener", _find_listener)
        user = find(request, claims.user_id, claims.sign_in) if claims.sign_in else None
        if user is None:
            raise AuthenticationFailed("this token is no longer good; refresh it, or sign in again")
        return user, claims.token


class AccessTokenClaims(NamedTuple):
    """sign_in: None for a token of a release before sign-ins."""

    user_id: int
    sign_in: UUID | None
    token: Token


def read_access_token(raw: bytes) -> AccessTokenClaims:
    """Of an access token that is genuine and has not expired; whether its sign-in is good, the database knows. Raises
    InvalidToken."""
    claims = _genuine(raw)
    if claims.token["exp"] <= time.time():  # it was good when it was looked at first
        raise InvalidToken("Token is expired")
    return claims


def _view(request: Request) -> Any:
    return request.parser_context.get("view") if request.parser_context else None


def _find_key(request: Request, key: str) -> ServiceKey | None:
    return find_service_key(key)


def _find_listener(request: Request, user_id: int, sign_in: UUID) -> User | None:
    return find_signed_in_user(user_id, sign_in)


@lru_cache(maxsize=4096)
def _genuine(raw: bytes) -> AccessTokenClaims:
    """Signature and form are good; checking them takes longer than the query. Raises InvalidToken."""
    token = JWTAuthentication().get_validated_token(raw)
    sign_in = token.get(SIGN_IN_CLAIM)
    return AccessTokenClaims(int(token[api_settings.USER_ID_CLAIM]), UUID(sign_in) if sign_in else None, token)


class _ServiceKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "access.authentication.ServiceKeyAuthentication"
    name = "ServiceKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Api-Key KEY`, a key of `manage.py create_service_key`",
        }


class _ListenerTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "access.authentication.ListenerTokenAuthentication"
    name = "ListenerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
