"""Every request has an id: the caller's `X-Request-ID`, or one of ours; it is echoed, and stands in every log line."""

import logging
import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse

ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,128}")
current_request_id: ContextVar[str] = ContextVar("request_id", default="-")


class RequestIdMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = accept_request_id(request.headers.get("X-Request-ID", ""))
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


def accept_request_id(given: str) -> str:
    """The id of the request at hand, from now on: the caller's if it is one, else a new one."""
    request_id = given if ACCEPTED.fullmatch(given) else uuid.uuid4().hex
    current_request_id.set(request_id)  # left set: Django logs a refused request after the middleware has ended
    return request_id


class RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id.get()
        return True
