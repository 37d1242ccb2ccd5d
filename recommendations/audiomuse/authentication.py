"""Credentials of players, which know one form of a token only: `Authorization: Bearer TOKEN`."""

from typing import Any

from rest_framework.authentication import get_authorization_header
from rest_framework.request import Request

from access.models import ServiceKey
from access.services import KEY_PREFIX
from recommendations.api.authentication import ContextKeyAuthentication


class BearerKeyAuthentication(ContextKeyAuthentication):
    """Authenticate by a service key in place of a listener's token. Keys are told apart by their prefix."""

    def authenticate(self, request: Request) -> tuple[Any, ServiceKey] | None:
        scheme, _, key = get_authorization_header(request).partition(b" ")
        is_key = scheme.lower() == b"bearer" and key.strip().startswith(KEY_PREFIX.encode())
        return self.authenticate_key(request, key) if is_key else None

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"
