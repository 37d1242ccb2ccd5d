"""JSON request and response bodies for DRF, read and written by orjson."""

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


class OrjsonParser(BaseParser):
    """Parse JSON that may be gzipped; orjson also refuses NaN and unlimited nesting."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        body: bytes = stream.read()
        request = (parser_context or {}).get("request")
        encoding = request.headers.get("Content-Encoding", "").lower() if request is not None else ""
        if encoding == "gzip":
            body = self._decompress(body)
        elif encoding not in ("", "identity"):
            raise UnsupportedMediaType(encoding, f"Content-Encoding {encoding!r} is not supported; send gzip or none")
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"the body is not JSON: {error}") from error

    def _decompress(self, body: bytes) -> bytes:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        try:
            decompressed = decompress_gzip(body, limit)
        except ValueError as error:
            raise ParseError(str(error)) from error
        if len(decompressed) > limit:
            raise PayloadTooLarge(f"the decompressed body may have {limit} bytes; send less at once")
        return decompressed
