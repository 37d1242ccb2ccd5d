"""The base classes of the views of ListenBrainz's API: its errors, its tokens, and bodies of any content type."""

from typing import Any, NamedTuple

from django.http import Http404
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.listen_token_authentication import ListenTokenAuthentication, ListenTokenThrottle
from common.http.gzip_body import decompress_gzip
from common.http.json import decode_body, escape_unstorable
from interactions.listenbrainz.payload import MAX_BYTES
from interactions.listenbrainz.serializers import ListenBrainzErrorSerializer

ERRORS = dict.fromkeys((400, 401, 429, 503), ListenBrainzErrorSerializer)
ERRORS_WITH_NAME = dict.fromkeys((400, 401, 404, 429, 503), ListenBrainzErrorSerializer)
MAX_DIGITS = 18
DEFAULT_COUNT, MAX_COUNT = 25, 1_000


class RawBodyParser(BaseParser):
    """Return the body as bytes whatever its content type: clients send all kinds of them, and some none."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read(MAX_BYTES + 1)


class ListenBrainzView(APIView):
    """Base class whose errors are `{"code", "error"}`, as clients of ListenBrainz expect.

    Unknown query parameters and fields are ignored, because the protocol is not ours and its clients send further ones.
    """

    permission_classes: list[Any] = []
    authentication_classes: list[Any] = []
    throttle_classes: list[Any] = []
    parser_classes = [RawBodyParser]
    schema_tag = "Scrobbling"

    def get_exception_handler(self) -> Any:
        default_handler = super().get_exception_handler()

        def handler(error: Exception, context: dict[str, Any]) -> Response | None:
            response: Response | None = default_handler(error, context)
            if response is not None:
                response.data = {"code": response.status_code, "error": response.data["detail"]}
                response.content_type = "application/json"
            return response

        return handler


class ListenTokenView(ListenBrainzView):
    """A view for the listener of a listen token."""

    authentication_classes = [ListenTokenAuthentication]
    permission_classes = [IsAuthenticated]
    throttle_classes = [ListenTokenThrottle]


class TokenListener(NamedTuple):
    """The listener of a listen token."""

    user_id: int
    name: str


def token_listener(request: Request) -> TokenListener:
    assert request.user.pk is not None  # IsAuthenticated has refused anonymous requests
    return TokenListener(request.user.pk, request.user.get_username())


def named_listener(request: Request, user_name: str) -> TokenListener:
    """Return the listener that a request names; capitals do not matter, as at ListenBrainz.

    Raises:
        Http404: it names somebody else than the token's own listener, whose data is private.
    """
    listener = token_listener(request)
    if user_name.casefold() != listener.name.casefold():
        raise Http404(f"Cannot find user: {escape_unstorable(user_name[:100])}")
    return listener


def parse_integer(request: Request, name: str) -> int | None:
    """Return an integer parameter, None if it is absent. Raises ParseError."""
    text = request.query_params.get(name, "")
    if not text:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        raise ParseError(f"{name}: must be an integer")
    return int(text)


def parse_count(request: Request) -> int:
    """Return the parameter `count`: at most 1,000, whatever is asked for, as at ListenBrainz. Raises ParseError."""
    count = parse_integer(request, "count")
    if count is not None and count < 0:
        raise ParseError("count: must not be negative")
    return DEFAULT_COUNT if count is None else min(count, MAX_COUNT)


def read_body(request: Request) -> bytes:
    """Return the body, decompressed if it is gzipped. Raises ParseError."""
    body: bytes = request.data or b""  # type: ignore[assignment]  # RawBodyParser gives bytes
    if request.headers.get("Content-Encoding", "").lower() != "gzip":
        return body
    try:
        return decompress_gzip(body, MAX_BYTES)
    except ValueError as error:
        raise ParseError(str(error)) from error


def read_json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object that is the body. Raises ParseError."""
    try:
        data = decode_body(read_body(request))
    except ValueError as error:
        raise ParseError(f"the body is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ParseError("the body must be a JSON object")
    return data
