"""Lists that are read page by page.

A cursor names the position after which the next page begins, by the values the list is ordered by. Unlike the number of
a page it stays right when rows are added or removed meanwhile. Clients must not look into it.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from common.http.query_parameters import LimitField
from common.http.references import INT64_MAX

MAX_LIMIT = 100
DEFAULT_LIMIT = 20


class PageParameters(serializers.Serializer[Any]):
    """The query parameters of every list."""

    limit = LimitField(default=DEFAULT_LIMIT, max_value=MAX_LIMIT, help_text="The length of a page.")
    cursor = serializers.CharField(
        max_length=1024,
        required=False,
        help_text="`next_cursor` of the previous page. Leave it out for the first page.",
    )


class PageSerializer(serializers.Serializer[Any]):
    """The fields that every page has beside its `results`."""

    next = serializers.CharField(
        allow_null=True, help_text="Path and query of the next page; null if this is the last one."
    )
    next_cursor = serializers.CharField(allow_null=True, help_text="The parameter `cursor` of the next page.")


def encode_cursor(position: Sequence[Any]) -> str:
    """Return the cursor of a position: the values of the last row that the list is ordered by."""
    return base64.urlsafe_b64encode(orjson.dumps(list(position))).rstrip(b"=").decode()


def decode_cursor(cursor: str, length: int) -> list[Any]:
    """Return the position in a cursor, whose values the caller still has to check.

    Args:
        length: the number of values that a position of this list has.

    Raises:
        ValidationError: it is not a cursor of this list.
    """
    try:
        position = orjson.loads(base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        position = None
    if not isinstance(position, list) or len(position) != length:
        raise invalid_cursor()
    return position


def decode_moment(cursor: str) -> tuple[datetime, int]:
    """Return the time, in UTC, and the id in a cursor of a list that is ordered by both.

    Raises:
        ValidationError: it is not a cursor of such a list.
    """
    moment, pk = decode_cursor(cursor, 2)
    if type(pk) is not int or not 0 < pk <= INT64_MAX:
        raise invalid_cursor()
    try:
        return datetime.fromisoformat(moment).astimezone(UTC), pk
    except (TypeError, ValueError, OverflowError) as error:
        raise invalid_cursor() from error


def invalid_cursor() -> ValidationError:
    return ValidationError({"?cursor": "is not a cursor of this list; leave it out to start from the beginning"})


def build_page(request: Request, results: list[Any], position: Sequence[Any] | None) -> dict[str, Any]:
    """Return the body of a page.

    Args:
        position: the values of the last result that the list is ordered by; None if there are no more results.
    """
    if position is None:
        return {"results": results, "next": None, "next_cursor": None}
    cursor = encode_cursor(position)
    query = QueryDict(request.META.get("QUERY_STRING", "").encode("latin-1")).dict() | {"cursor": cursor}
    return {"results": results, "next": f"{request.path}?{urlencode(query)}", "next_cursor": cursor}
