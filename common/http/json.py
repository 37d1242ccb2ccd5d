"""JSON in and out, by orjson; what comes in may be gzipped."""

from typing import Any

import orjson
from django.conf import settings
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from common.http.gzip_body import decompress_gzip


class OrjsonRenderer(BaseRenderer):
    """UTF-8; datetimes as RFC 3339 in UTC."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else orjson.dumps(data, option=orjson.OPT_UTC_Z)


class FixedRendererNegotiation(DefaultContentNegotiation):
    """A view has one format, whatever `Accept` says."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> tuple[Any, str]:
        return renderers[0], renderers[0].media_type


class OrjsonParser(BaseParser):
    """What it refuses (NaN, nesting without end) is a 400 that says where."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return orjson.loads(_plain(stream, (parser_context or {}).get("request")))
        except orjson.JSONDecodeError as error:
            raise ParseError(f"the body is not JSON: {error}") from error


class PayloadTooLarge(APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


def _plain(stream: Any, request: Any) -> bytes:
    """The body as it was before `Content-Encoding`."""
    body: bytes = stream.read()
    encoding = request.headers.get("Content-Encoding", "identity").lower() if request is not None else "identity"
    if encoding in ("identity", ""):
        return body
    if encoding != "gzip":
        raise UnsupportedMediaType(encoding, f"Content-Encoding {encoding!r} is not understood; send gzip or nothing")
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    try:
        plain = decompress_gzip(body, limit)
    except ValueError as error:
        raise ParseError(str(error)) from error
    if len(plain) > limit:
        raise PayloadTooLarge(f"the body may have {limit} bytes when unpacked; send less at once")
    return plain
