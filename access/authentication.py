"""Two principals: service keys for back ends (`Authorization: Api-Key KEY`), JWTs for phones (`Bearer TOKEN`)."""

from typing import Any
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import Token

from access.models import ServiceKey, User
from access.selectors import listener_of_token, usable_key
from access.services import note_use
from access.sign_ins import CLAIM

KEYWORD = "Api-Key"


class ServiceKeyAuthentication(BaseAuthentication):
    """`request.auth` is the ServiceKey; `request.user` stays anonymous, for a back end is nobody."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, ServiceKey] | None:
        scheme, _, key = get_authorization_header(request).partition(b" ")
        if scheme.lower() != KEYWORD.lower().encode():
            return None
        service_key = usable_key(key.strip().decode("latin-1"))
        if service_key is None:
            raise AuthenticationFailed(
                "this service key is unknown, expired or revoked; create one with create_service_key"
            )
        note_use(service_key)
        return AnonymousUser(), service_key

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD


class ListenerTokenAuthentication(JWTAuthentication):
    """`request.user` is the listener of the JWT, whose sign-in has not ended. One query."""

    def get_user(self, validated_token: Token) -> User:  # type: ignore[override]
        user_id, sign_in = validated_token.get(api_settings.USER_ID_CLAIM), validated_token.get(CLAIM)
        user = listener_of_token(int(user_id), UUID(sign_in)) if sign_in else None  # none: of a release before sign-ins
        if user is None:
            raise AuthenticationFailed("this token is no longer good; refresh it, or sign in again")
        return user


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
