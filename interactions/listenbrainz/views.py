"""The door for scrobblers: two paths of ListenBrainz, with its answers and its errors."""

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
    ErrorSerializer,
    StatusSerializer,
    SubmissionSerializer,
    ValiditySerializer,
)
from interactions.listenbrainz.services import LISTENBRAINZ, store_listens

_ERRORS = dict.fromkeys((400, 401, 429, 503), ErrorSerializer)


class _AsItIs(BaseParser):
    """Clients name all kinds of content types, and some none."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream.read(MAX_BYTES + 1)


class _ListenBrainzView(APIView):
    """Errors are `{"code", "error"}`, which is what clients of ListenBrainz read."""

    permission_classes: list[Any] = []
    authentication_classes: list[Any] = []
    throttle_classes: list[Any] = []

    def get_exception_handler(self) -> Any:
        usual = super().get_exception_handler()

        def handler(error: Exception, context: dict[str, Any]) -> Response | None:
            response: Response | None = usual(error, context)
            if response is not None:
                response.data = {"code": response.status_code, "error": response.data["detail"]}
                response.content_type = "application/json"
            return response

        return handler


class SubmitListensView(_ListenBrainzView):
    authentication_classes = [ListenTokenAuthentication]
    permission_classes = [IsAuthenticated]
    throttle_classes = [ListenTokenThrottle]
    parser_classes = [_AsItIs]
    body_limit = staticmethod(
        lambda: MAX_BYTES + 1
    )  # one more, so that the view says what is wrong as its clients expect

    @extend_schema(
        operation_id="submit_listens",
        request=SubmissionSerializer,
        responses={200: StatusSerializer, **_ERRORS},
        tags=["1"],
    )
    def post(self, request: Request) -> Response:
        """Listens of tracks that a client knows by name. One that is wrong refuses all of them."""
        try:
            listens = parse_submission(_body(request))
        except InvalidSubmission as error:
            raise ParseError(str(error)) from error
        assert request.user.pk is not None  # or it would be a 401
        store_listens(request.user.pk, listens, LISTENBRAINZ)
        return Response({"status": "ok"})


def _body(request: Request) -> bytes:
    """In clear. Raises ParseError."""
    body: bytes = request.data or b""  # type: ignore[assignment]  # _AsItIs gives bytes
    if request.headers.get("Content-Encoding", "").lower() != "gzip":
        return body
    try:
        return decompress_gzip(body, MAX_BYTES)
    except ValueError as error:
        raise ParseError(str(error)) from error


class ValidateTokenView(_ListenBrainzView):
    @extend_schema(
        operation_id="validate_token",
        auth=[{"ListenToken": []}, {}],  # type: ignore[list-item]
        parameters=[OpenApiParameter("token", str, description="Instead of the header.")],
        responses={200: ValiditySerializer, **_ERRORS},
        tags=["1"],
    )
    def get(self, request: Request) -> Response:
        """Whether a token is good, and whose it is."""
        if not (sent := request.query_params.get("token") or token_from_header(request)):
            raise ParseError("give the token as ?token= or in the header Authorization: Token UUID")
        if (token := find_listen_token(sent)) is None:
            return Response({"code": status.HTTP_200_OK, "message": "Token invalid.", "valid": False})
        valid = {"code": status.HTTP_200_OK, "message": "Token valid.", "valid": True}
        return Response(valid | {"user_name": token.user.get_username()})
