"""A request id that appears in the response, in problem documents and in every log line."""

import logging
import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")
current_request_id: ContextVar[str] = ContextVar("request_id", default="-")


class RequestIdMiddleware:
    """Use the caller's `X-Request-ID` if it is well-formed, else a new id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request.headers.get("X-Request-ID", "")
        if not ACCEPTED.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        # It is not reset afterwards, because Django logs an error response after the middleware has returned.
        current_request_id.set(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class RequestIdFilter(logging.Filter):
    """Add the request id to log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id.get()
        return True
