"""A request body longer than `DATA_UPLOAD_MAX_MEMORY_SIZE` is refused before anybody reads it."""

import tempfile
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from common.http.problems import answer

CHUNK = 65_536


class BodyLimitMiddleware:
    """Django's own limit does not reach views that read the stream, as those of the API do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        chunked = _comes_in_chunks(request)
        if not (chunked or request.META.get("CONTENT_LENGTH")):  # there is no body
            return self.get_response(request)
        limit = _limit(request)
        if chunked:  # it is read before anybody knows whose it is: no more than of any other
            _take_in(request, limit := settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit() and int(length[:20]) <= limit):
            return answer(413, f"the body may have {limit} bytes; send less at once")
        return self.get_response(request)


def _limit(request: HttpRequest) -> int:
    """Bytes: what the class of the view says by a function `body_limit`, else the same for all."""
    try:
        view = getattr(resolve(request.path_info).func, "cls", None)
    except Resolver404:
        view = None
    body_limit = getattr(view, "body_limit", None)
    return int(body_limit() if body_limit else settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def _comes_in_chunks(request: HttpRequest) -> bool:
    """Without saying how long it is, from a server that lets us read to its end and no further."""
    return not request.META.get("CONTENT_LENGTH") and bool(request.META.get("wsgi.input_terminated"))


def _take_in(request: Any, limit: int) -> None:
    """Read it, a byte beyond the limit at most, and say how long it was; Django would read nothing. What is longer
    than most bodies may be goes to a file."""
    body = tempfile.SpooledTemporaryFile(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115  # ends with the request
    while body.tell() <= limit and (chunk := request.META["wsgi.input"].read(min(CHUNK, limit + 1 - body.tell()))):
        body.write(chunk)
    request.META["CONTENT_LENGTH"] = str(body.tell())
    body.seek(0)
    request._stream = body
