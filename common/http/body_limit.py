"""A limit on the length of request bodies."""

import tempfile
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from common.http.problems import problem_response

CHUNK_BYTES = 65_536


class BodyLimitMiddleware:
    """Refuse a body longer than `DATA_UPLOAD_MAX_MEMORY_SIZE` before it is read.

    Django enforces that setting only for views that read `request.body` or `request.POST`; the views of the API read
    the stream. A view class can allow another length with a static method `body_limit()`, in bytes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        content_length = request.META.get("CONTENT_LENGTH") or ""
        # A chunked body comes without a length. Servers that end its stream correctly set `wsgi.input_terminated`.
        is_chunked = not content_length and bool(request.META.get("wsgi.input_terminated"))
        if not content_length and not is_chunked:
            return self.get_response(request)
        limit = _body_limit_of_view(request.path_info)
        if is_chunked:
            # It is read before the request is authenticated, so that a view's higher limit does not apply.
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            content_length = str(_buffer_chunked_body(request, limit))
        if not (content_length.isascii() and content_length.isdigit() and int(content_length[:20]) <= limit):
            return problem_response(413, f"the body may have {limit} bytes; send less at once")
        return self.get_response(request)


def _body_limit_of_view(path: str) -> int:
    try:
        view_class = getattr(resolve(path).func, "cls", None)  # set by DRF's `as_view`
    except Resolver404:
        view_class = None
    body_limit = getattr(view_class, "body_limit", None)
    return int(body_limit() if body_limit else settings.DATA_UPLOAD_MAX_MEMORY_SIZE)


def _buffer_chunked_body(request: HttpRequest, limit: int) -> int:
    """Read a chunked body, at most one byte beyond the limit, and make it the stream of the request.

    Without this, Django would take the missing `Content-Length` for an empty body.

    Returns:
        the number of bytes read.
    """
    body = tempfile.SpooledTemporaryFile(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115  # ends with the request
    while body.tell() <= limit:
        chunk = request.META["wsgi.input"].read(min(CHUNK_BYTES, limit + 1 - body.tell()))
        if not chunk:
            break
        body.write(chunk)
    length = body.tell()
    body.seek(0)
    request.META["CONTENT_LENGTH"] = str(length)
    request._stream = body  # type: ignore[assignment]
    return length
