"""Authentication and throttling of clients that scrobble: `Authorization: Token UUID`, as ListenBrainz defines it."""

import math
import time
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from access.listen_tokens import find_listen_token, record_listen_token_use
from access.models import ListenToken, User
from access.throttles import count_requests, parse_rate, refuse_request, window_stats


def token_from_header(request: Request) -> str:
    """Return the second word of the Authorization header, or "". Clients differ in the first word, so it is ignored."""
    words = get_authorization_header(request).split()
    return words[1].decode("latin-1") if len(words) > 1 else ""


class ListenTokenAuthentication(BaseAuthentication):
    """Authenticate a listener by a listen token: `request.user` is the listener, `request.auth` the ListenToken."""

    def authenticate(self, request: Request) -> tuple[User, ListenToken]:
        token = token_from_header(request)
        if not token:
            raise AuthenticationFailed("an Authorization header is needed: Token UUID")
        listen_token = find_listen_token(token)
        if listen_token is None:
            raise AuthenticationFailed("this token is unknown or revoked, or the account is closed")
        record_listen_token_use(listen_token)
        return listen_token.user, listen_token

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class ListenTokenThrottle(BaseThrottle):
    """Apply the listener's rate limit, and report it in the headers by which these clients pace themselves."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = parse_rate(settings.MUSICREC["RATE_LISTENER"])
        if limit is None:
            return True
        principal = f"listener:{request.user.pk}"
        wait = count_requests(limit, principal)
        window = window_stats(limit, principal)
        view.headers |= {
            "X-RateLimit-Limit": str(limit.amount),
            "X-RateLimit-Remaining": str(max(0, window.remaining)),
            "X-RateLimit-Reset-In": str(max(0, math.ceil(window.reset_time - time.time()))),
            "X-RateLimit-Reset": str(math.ceil(window.reset_time)),
        }
        if wait:
            refuse_request("listener", limit, wait)
        return True


class ListenTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "access.listen_token_authentication.ListenTokenAuthentication"
    name = "ListenToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token UUID`, a token of `manage.py create_listen_token`",
        }
