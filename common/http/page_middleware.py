"""Django's middlewares for pages, which the API has no use for: sessions, messages, static files."""

from collections.abc import Callable
from typing import Any

from corsheaders.middleware import CorsMiddleware
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware

API = (
    "/recommend/",
    "/events",
    "/tracks",
    "/listeners",
    "/users/",
    "/token",
    "/1/",
    "/engagement",
    "/metrics",
    "/health/",
)
"""Beginnings of paths that people do not open in a browser."""


def is_page(request: HttpRequest) -> bool:
    return not request.path_info.startswith(API)


class _Selective:
    """In front of a middleware in the order of bases: for whom it is there at all."""

    get_response: Callable[..., Any]

    def __call__(self, request: HttpRequest) -> Any:
        return super().__call__(request) if self.concerns(request) else self.get_response(request)  # type: ignore[misc]

    def concerns(self, request: HttpRequest) -> bool:
        return is_page(request)


class Sessions(_Selective, SessionMiddleware):
    pass


class Users(_Selective, AuthenticationMiddleware):
    pass


class Messages(_Selective, MessageMiddleware):
    pass


class Static(_Selective, WhiteNoiseMiddleware):  # type: ignore[misc]
    pass


class CrossOrigin(_Selective, CorsMiddleware):
    """Browsers say where a page of another origin comes from; phones and back ends do not."""

    def concerns(self, request: HttpRequest) -> bool:
        return "HTTP_ORIGIN" in request.META or is_page(request)
