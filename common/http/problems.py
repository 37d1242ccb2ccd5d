"""Errors as RFC 9457 `application/problem+json`, from one place, for DRF and for Django alike."""

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
    """For DRF. What it does not know goes on to Django, which logs it and answers by `server_error`."""
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database did not answer", exc_info=error)
        away = build_problem(503, "the database does not answer; try again in a moment")
        return Response(away, 503, content_type=CONTENT_TYPE, headers={"Retry-After": RETRY_AFTER_SECONDS})
    response = drf_exception_handler(error, context)
    if response is None:
        return None
    if isinstance(error, exceptions.ValidationError):
        faults = list(_faults(error.detail))
        response.data = build_problem(
            response.status_code, "; ".join(f"{f['pointer']}: {f['detail']}" for f in faults), faults
        )
    else:
        said = response.data.get("detail", "") if isinstance(response.data, dict) else ""
        response.data = build_problem(response.status_code, str(said))
    response.content_type = CONTENT_TYPE
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(400, str(exception)[:500] or "the request could not be understood")


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(403, "this is not for you")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(404, f"there is nothing at {request.path[:200]}; the API is described at /schema")


def server_error(request: HttpRequest) -> HttpResponse:
    return problem_response(500, "something went wrong here; the request_id finds it in the log")


def problem_response(status: int, detail: str) -> HttpResponse:
    return HttpResponse(orjson.dumps(build_problem(status, detail)), status=status, content_type=CONTENT_TYPE)


def _faults(detail: Any, pointer: str = "") -> Iterator[dict[str, str]]:
    """A pointer and a sentence for each fault: `#/name` in the body, `?name` a parameter, `{name}` in the path."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _faults(inner, _pointer(pointer, str(name)))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _faults(inner, pointer)
    else:
        yield {"pointer": pointer or "#", "detail": str(detail)}


def _pointer(before: str, name: str) -> str:
    if name[:1] in ("?", "{"):
        return name
    return before if name == "non_field_errors" else f"{before or '#'}/{name}".rstrip("/")
