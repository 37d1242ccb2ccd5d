"""The API for scrobblers: two endpoints of ListenBrainz, with its responses and its errors."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from access.listen_token_authentication import ListenTokenAuthentication, ListenTokenThrottle, token_from_header
from access.listen_tokens import find_listen_token
from common.http.gzip_body import decompress_gzip
from interactions.listenbrainz.payload import MAX_BYTES, InvalidSubmission, parse_submission
from interactions.listenbrainz.serializers import (
    ListenBrainzErrorSerializer,
    SubmissionSerializer,
    SubmissionStatusSerializer,
    ValiditySerializer,
)
from interactions.listenbrainz.services import store_listens
from interactions.play_reports import LISTENBRAINZ

_ERRORS = dict.fromkeys((400, 401, 429, 503), ListenBrainzErrorSerializer)


class RawBodyParser(BaseParser):
    """Return the body as bytes whatever its content type: clients send all kinds of them, and some none."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read(MAX_BYTES + 1)


class ListenBrainzView(APIView):
    """Base class whose errors are `{"code", "error"}`, as clients of ListenBrainz expect."""

    permission_classes: list[Any] = []
    authentication_classes: list[Any] = []
    throttle_classes: list[Any] = []

    def get_exception_handler(self) -> Any:
        default_handler = super().get_exception_handler()

        def handler(error: Exception, context: dict[str, Any]) -> Response | None:
            response: Response | None = default_handler(error, context)
            if response is not None:
                response.data = {"code": response.status_code, "error": response.data["detail"]}
                response.content_type = "application/json"
            return response

        return handler


class SubmitListensView(ListenBrainzView):
    authentication_classes = [ListenTokenAuthentication]
    permission_classes = [IsAuthenticated]
    throttle_classes = [ListenTokenThrottle]
    parser_classes = [RawBodyParser]
    # One byte more than allowed, so that the error comes from the view in the form that its clients expect.
    body_limit = staticmethod(lambda: MAX_BYTES + 1)

    @extend_schema(
        operation_id="submit_listens",
        request={"application/json": SubmissionSerializer},
        responses={200: SubmissionStatusSerializer, **_ERRORS},
        tags=["Scrobbling"],
    )
    def post(self, request: Request) -> Response:
        """Submit listens of tracks that are identified by name. In an `import`, an invalid one is skipped."""
        try:
            submission = parse_submission(_read_body(request))
        except InvalidSubmission as error:
            raise ParseError(str(error)) from error
        assert request.user.pk is not None  # IsAuthenticated has refused anonymous requests
        store_listens(request.user.pk, submission.listens, LISTENBRAINZ)
        rejected = [{"index": index, "error": error} for index, error in submission.rejected]
        return Response({"status": "ok"} | ({"rejected": rejected} if rejected else {}))


def _read_body(request: Request) -> bytes:
    """Return the body, decompressed if it is gzipped. Raises ParseError."""
    body: bytes = request.data or b""  # type: ignore[assignment]  # RawBodyParser gives bytes
    if request.headers.get("Content-Encoding", "").lower() != "gzip":
        return body
    try:
        return decompress_gzip(body, MAX_BYTES)
    except ValueError as error:
        raise ParseError(str(error)) from error


class ValidateTokenView(ListenBrainzView):
    @extend_schema(
        operation_id="validate_token",
        auth=[{"ListenToken": []}, {}],  # type: ignore[list-item]
        parameters=[OpenApiParameter("token", str, description="May replace the header.")],
        responses={200: ValiditySerializer, **_ERRORS},
        tags=["Scrobbling"],
    )
    def get(self, request: Request) -> Response:
        """Check whether a token is valid, and return the name of its user."""
        if not (token := request.query_params.get("token") or token_from_header(request)):
            raise ParseError("give the token as ?token= or in the header Authorization: Token UUID")
        if (listen_token := find_listen_token(token)) is None:
            return Response({"code": status.HTTP_200_OK, "message": "Token invalid.", "valid": False})
        valid = {"code": status.HTTP_200_OK, "message": "Token valid.", "valid": True}
        return Response(valid | {"user_name": listen_token.user.get_username()})
