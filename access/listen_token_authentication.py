"""`Authorization: Token UUID`, as clients of ListenBrainz send it; and how many requests one may make."""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from access.listen_tokens import find_listen_token, record_listen_token_use
from access.models import ListenToken, User
from access.throttles import raise_if_limited
from common.rate_limits import rate

KEYWORD = "Token"


def token_from_header(request: Request) -> str:
    """The second word of the header, whatever the first; "" where there is none."""
    words = get_authorization_header(request).split()
    return words[1].decode("latin-1") if len(words) > 1 else ""


class ListenTokenAuthentication(BaseAuthentication):
    """`request.user` is the listener, `request.auth` the ListenToken."""

    def authenticate(self, request: Request) -> tuple[User, ListenToken]:
        if not (sent := token_from_header(request)):
            raise AuthenticationFailed("an Authorization header is needed: Token UUID")
        if (token := find_listen_token(sent)) is None:
            raise AuthenticationFailed("this token is unknown or revoked, or the account is closed")
        record_listen_token_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return KEYWORD


class ListenTokenThrottle(BaseThrottle):
    """The listener's limit, and what is left of it in headers: these clients wait by themselves."""

    def allow_request(self, request: Request, view: Any) -> bool:
        if (limit := rate(settings.MUSICREC["RATE_LISTENER"])) is None:
            return True
        hit = limit.hit(f"listener:{request.user.pk}")
        view.headers |= {
            "X-RateLimit-Limit": str(limit.count),
            "X-RateLimit-Remaining": str(max(0, limit.count - hit.count)),
            "X-RateLimit-Reset-In": str(hit.left),
            "X-RateLimit-Reset": str(hit.ends),
        }
        raise_if_limited(limit, "listener", hit.left if hit.count > limit.count else 0)
        return True


class _ListenTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "access.listen_token_authentication.ListenTokenAuthentication"
    name = "ListenToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "`Token UUID`, a token of `manage.py create_listen_token`",
        }
