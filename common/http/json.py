"""JSON request and response bodies for DRF, read and written by orjson."""

import json
from collections.abc import Callable
from typing import Any

import orjson
from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from common.http.gzip_body import decompress_gzip

MAX_CONTAINERS = 50_000  # objects and arrays; a submission of 1,000 listens has about 10,000
MAX_NAMES = 100  # in an object
MAX_DEPTH = 16
TOO_DEEP = f"objects and arrays are nested too deeply; at most {MAX_DEPTH} levels are allowed"


class OrjsonRenderer(BaseRenderer):
    """Render as UTF-8, with datetimes as RFC 3339 in UTC."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_UTC_Z)


class FixedRendererNegotiation(DefaultContentNegotiation):
    """Use the view's first renderer, whatever the `Accept` header asks for."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class PayloadTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


def check_container_count(body: bytes) -> None:
    """Check, before a body is decoded, that it does not consist of very many small objects and arrays.

    Two megabytes of `[],[],…` would take longer to decode than any other request takes altogether. Brackets inside of
    strings are counted as well.

    Raises:
        PayloadTooLarge: it may have more than MAX_CONTAINERS.
    """
    if body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        raise PayloadTooLarge(f"the body may have {MAX_CONTAINERS} objects and arrays; send less at once")


def check_structure(value: Any, depth: int = 1) -> None:
    """Check that a body, or an item of one, has at most MAX_DEPTH levels, and MAX_NAMES names in each object.

    Raises:
        ParseError: it exceeds a limit, which the message names.
    """
    if depth > MAX_DEPTH:
        raise ParseError(TOO_DEEP)
    if isinstance(value, dict):
        if len(value) > MAX_NAMES:
            raise ParseError(f"an object has {len(value)} names; it may have {MAX_NAMES}")
        value = value.values()
    for child in value:
        if isinstance(child, dict | list):
            check_structure(child, depth + 1)


def decode_list_body(body: bytes) -> Any:
    """Decode a JSON body whose items are validated one by one, even if orjson refuses a value inside of an item.

    Halves of surrogate pairs (half an emoji, as `text.slice(0, n)` leaves it), text that is not UTF-8, NaN, Infinity
    and numbers above 1e308, however many digits they have, are decoded as well, so that only the items that contain
    them are rejected. Bytes that are not UTF-8 become lone surrogates, so every text of such a body has to be checked
    before it is stored.

    Raises:
        ValueError: the body is not JSON, or is nested too deeply.
        PayloadTooLarge: it has more than MAX_CONTAINERS objects and arrays.
    """
    check_container_count(body)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(body.decode("utf-8-sig", "surrogateescape"), parse_int=_parse_int)
        except (ValueError, RecursionError):
            raise error from None


def _parse_int(digits: str) -> int | float:
    """Return a float for what exceeds 64 bits, as orjson does; Python refuses to read integers of very many digits."""
    return int(digits) if len(digits) < 20 else float(digits)


def escape_unstorable(text: str) -> str:
    """Return a text with lone surrogates and null characters escaped, as responses and the database need it."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def decode_body(body: bytes) -> Any:
    """Decode a JSON body with few names; orjson also refuses NaN.

    Raises:
        ValueError: the body is not JSON.
        PayloadTooLarge, ParseError: it exceeds a limit of its size or structure.
    """
    check_container_count(body)
    value = orjson.loads(body)
    if isinstance(value, dict | list):
        check_structure(value)
    return value


class OrjsonParser(BaseParser):
    """Parse JSON that may be gzipped."""

    media_type = "application/json"
    decode: Callable[[bytes], Any] = staticmethod(decode_body)

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body: bytes = stream.read()
        request = (parser_context or {}).get("request")
        encoding = request.headers.get("Content-Encoding", "").lower() if request is not None else ""
        if encoding == "gzip":
            body = self._decompress(body)
        elif encoding not in ("", "identity"):
            raise UnsupportedMediaType(encoding, f"Content-Encoding {encoding!r} is not supported; send gzip or none")
        try:
            return self.decode(body)
        except ValueError as error:
            # orjson decodes no more than 1,024 levels.
            detail = TOO_DEEP if str(error).startswith("depth limit") else f"the body is not JSON: {error}"
            raise ParseError(detail) from error

    def _decompress(self, body: bytes) -> bytes:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        try:
            decompressed = decompress_gzip(body, limit)
        except ValueError as error:
            raise ParseError(str(error)) from error
        if len(decompressed) > limit:
            raise PayloadTooLarge(f"the decompressed body may have {limit} bytes; send less at once")
        return decompressed


class ListBodyParser(OrjsonParser):
    """Parse JSON for a view that validates each item of a list; see `decode_list_body`."""

    decode = staticmethod(decode_list_body)
