"""Submission of listens, and validation of tokens, with the responses of ListenBrainz."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from access.listen_token_authentication import token_from_header
from access.listen_tokens import find_listen_token
from interactions.listenbrainz.base_view import ERRORS, ListenBrainzView, ListenTokenView, read_body, token_listener
from interactions.listenbrainz.payload import MAX_BYTES, InvalidSubmission, parse_submission
from interactions.listenbrainz.serializers import (
    SubmissionSerializer,
    SubmissionStatusSerializer,
    ValiditySerializer,
)
from interactions.listenbrainz.services import store_listens, store_playing_now
from interactions.play_reports import LISTENBRAINZ


class SubmitListensView(ListenTokenView):
    # One byte more than allowed, so that the error comes from the view in the form that its clients expect.
    body_limit = staticmethod(lambda: MAX_BYTES + 1)

    @extend_schema(
        operation_id="submit_listens",
        request={"application/json": SubmissionSerializer},
        parameters=[OpenApiParameter("return_msid", bool, description="Return the msid of a `playing_now`.")],
        responses={200: SubmissionStatusSerializer, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Submit listens of tracks that are identified by name. In an `import`, an invalid one is skipped."""
        try:
            submission = parse_submission(read_body(request))
        except InvalidSubmission as error:
            raise ParseError(str(error)) from error
        user_id = token_listener(request).user_id
        answer: dict[str, Any] = {"status": "ok"}
        if submission.playing_now:
            msid = store_playing_now(user_id, submission.playing_now)
            if request.query_params.get("return_msid"):
                answer["recording_msid"] = msid
        else:
            store_listens(user_id, submission.listens, LISTENBRAINZ)
        if submission.rejected:
            answer["rejected"] = [{"index": index, "error": error} for index, error in submission.rejected]
        return Response(answer)


class ValidateTokenView(ListenBrainzView):
    @extend_schema(
        operation_id="validate_token",
        auth=[{"ListenToken": []}, {}],  # type: ignore[list-item]
        parameters=[OpenApiParameter("token", str, description="May replace the header.")],
        responses={200: ValiditySerializer, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Check whether a token is valid, and return the name of its user."""
        if not (token := request.query_params.get("token") or token_from_header(request)):
            raise ParseError("give the token as ?token= or in the header Authorization: Token UUID")
        if (listen_token := find_listen_token(token)) is None:
            return Response({"code": status.HTTP_200_OK, "message": "Token invalid.", "valid": False})
        valid = {"code": status.HTTP_200_OK, "message": "Token valid.", "valid": True}
        return Response(valid | {"user_name": listen_token.user.get_username()})
