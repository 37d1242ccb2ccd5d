"""Error responses as RFC 9457 `application/problem+json`, for DRF and for Django's own error handlers."""

import errno
import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import orjson
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from common.http.request_id import current_request_id

logger = logging.getLogger(__name__)
CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "5"
STORAGE_RETRY_AFTER_SECONDS = "300"  # somebody has to make room
STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a full disk, an exhausted quota, a read-only folder
Problem = dict[str, Any]


def build_problem(status: int, detail: str, errors: list[dict[str, str]] | None = None) -> Problem:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": errors or [],
        "request_id": current_request_id.get(),
    }


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem for an exception in a DRF view.

    Unknown exceptions give None: DRF raises them again, and Django logs them and responds with `server_error`.
    """
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database did not answer", exc_info=error)
        problem = build_problem(503, "the database does not answer; try again in a moment")
        return Response(problem, 503, content_type=CONTENT_TYPE, headers={"Retry-After": RETRY_AFTER_SECONDS})
    if isinstance(error, OSError) and error.errno in STORAGE_ERRORS:
        logger.error("a file could not be written", exc_info=error)
        problem = build_problem(507, "the service cannot store files at the moment; try again later")
        return Response(problem, 507, content_type=CONTENT_TYPE, headers={"Retry-After": STORAGE_RETRY_AFTER_SECONDS})
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        errors = list(flatten_errors(error.detail))
        detail = "; ".join(f"{e['pointer']}: {e['detail']}" for e in errors)
        response.data = build_problem(response.status_code, detail, errors)
    elif isinstance(error, exceptions.MethodNotAllowed):
        allowed = ", ".join(context["view"].allowed_methods)
        detail = f"{context['request'].method} is not allowed here; this path accepts {allowed}"
        response.data = build_problem(response.status_code, detail)
    else:
        detail = response.data.get("detail", "") if isinstance(response.data, dict) else ""
        response.data = build_problem(response.status_code, str(detail))
    response.content_type = CONTENT_TYPE
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(400, str(exception)[:500] or "the request could not be understood")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(403, "permission denied")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(404, f"there is nothing at {request.path[:200]}; the API is described at /schema")


def server_error(request: HttpRequest) -> HttpResponse:
    return problem_response(500, "internal error; the server's log has the details under this request_id")


def problem_response(status: int, detail: str) -> HttpResponse:
    return HttpResponse(orjson.dumps(build_problem(status, detail)), status=status, content_type=CONTENT_TYPE)


def flatten_errors(detail: Any, pointer: str = "") -> Iterator[dict[str, str]]:
    """Yield pointer and message of each validation error, below the given pointer.

    A pointer is `#/name` for a field of the body, `?name` for a query parameter, or `{name}` for a part of the path.
    """
    if isinstance(detail, dict):
        for key, nested in detail.items():
            name = str(key)
            if name[:1] in ("?", "{"):
                yield from flatten_errors(nested, name)
            elif name == "non_field_errors":
                yield from flatten_errors(nested, pointer)
            else:
                yield from flatten_errors(nested, f"{pointer or '#'}/{name}".rstrip("/"))
    elif isinstance(detail, list):
        for nested in detail:
            yield from flatten_errors(nested, pointer)
    else:
        yield {"pointer": pointer or "#", "detail": str(detail)}
