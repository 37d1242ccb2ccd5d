"""Likes and dislikes, which ListenBrainz calls the feedback for a recording."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from interactions.listenbrainz.base_view import (
    ERRORS_WITH_NAME,
    ListenTokenView,
    named_listener,
    parse_count,
    parse_integer,
    read_json_object,
    token_listener,
)
from interactions.listenbrainz.selectors import find_recordings, load_feedback, render_feedback
from interactions.listenbrainz.serializers import (
    AcceptedSerializer,
    FeedbackPageSerializer,
    FeedbackSelectionSerializer,
    NewFeedbackSerializer,
    RecordingIdsSerializer,
)
from interactions.listenbrainz.services import RecordingNotFound, set_feedback

SCORES = {"1": 1, "0": 0, "-1": -1}
MAX_RECORDINGS = 1_000


class RecordingFeedbackView(ListenTokenView):
    @extend_schema(
        operation_id="set_recording_feedback",
        request={"application/json": NewFeedbackSerializer},
        responses={200: AcceptedSerializer, **ERRORS_WITH_NAME},
    )
    def post(self, request: Request) -> Response:
        """Like a track of the catalogue (1), dislike it (-1), or withdraw both (0)."""
        body = read_json_object(request)
        score = SCORES.get(str(body.get("score")))
        if score is None:
            raise ParseError("score: must be 1, 0 or -1")
        msid, mbid = _parse_uuid(body, "recording_msid"), _parse_uuid(body, "recording_mbid")
        if msid is None and mbid is None:
            raise ParseError("recording_mbid or recording_msid is required")
        try:
            set_feedback(token_listener(request).user_id, score, msid, mbid)
        except RecordingNotFound as error:
            raise Http404("the catalogue has no track with this recording_mbid or recording_msid") from error
        return Response({"status": "ok"})


class UserFeedbackView(ListenTokenView):
    @extend_schema(
        operation_id="list_recording_feedback",
        parameters=[
            OpenApiParameter("score", int, enum=[1, -1], description="Only likes (1), or only dislikes (-1)."),
            OpenApiParameter("count", int, description="25 if absent, at most 1,000."),
            OpenApiParameter("offset", int, description="How many of the latest to leave out."),
            OpenApiParameter("metadata", bool, description="Add the names of the tracks."),
        ],
        responses={200: FeedbackPageSerializer, **ERRORS_WITH_NAME},
    )
    def get(self, request: Request, user_name: str) -> Response:
        """List the likes and dislikes of the token's own listener, the latest first."""
        (user_id, name), count = named_listener(request, user_name), parse_count(request)
        score, offset = parse_integer(request, "score") or 0, parse_integer(request, "offset") or 0
        if score not in (-1, 0, 1):
            raise ParseError("score: must be 1 or -1")
        if offset < 0:
            raise ParseError("offset: must not be negative")
        matching = [feedback for feedback in load_feedback(user_id) if score in (0, feedback.score)]
        with_metadata = request.query_params.get("metadata", "").lower() in ("true", "1")
        page = render_feedback(matching[offset : offset + count], name, with_metadata)
        return Response({"feedback": page, "count": len(page), "total_count": len(matching), "offset": offset})


class FeedbackForRecordingsView(ListenTokenView):
    @extend_schema(
        operation_id="get_feedback_for_recordings",
        parameters=[
            OpenApiParameter("recording_mbids", str, description="Separated by commas."),
            OpenApiParameter("recording_msids", str, description="Separated by commas."),
        ],
        responses={200: FeedbackSelectionSerializer, **ERRORS_WITH_NAME},
    )
    def get(self, request: Request, user_name: str) -> Response:
        """Show what the token's own listener thinks of some recordings; 0 is neither a like nor a dislike."""
        return _select_feedback(request, user_name, request.query_params)

    @extend_schema(
        operation_id="find_feedback_for_recordings",
        request={"application/json": RecordingIdsSerializer},
        responses={200: FeedbackSelectionSerializer, **ERRORS_WITH_NAME},
    )
    def post(self, request: Request, user_name: str) -> Response:
        """Show what the token's own listener thinks of the recordings in the body, which may be many."""
        return _select_feedback(request, user_name, read_json_object(request))


def _select_feedback(request: Request, user_name: str, ids: Any) -> Response:
    user_id, name = named_listener(request, user_name)
    msids = _parse_uuids(ids.get("recording_msids") or ids.get("recordings"), "recording_msids")
    mbids = _parse_uuids(ids.get("recording_mbids"), "recording_mbids")
    if not msids and not mbids:
        raise ParseError("recording_mbids or recording_msids is required")
    track_ids = find_recordings(msids, mbids)
    feedback = {item.track_id: item for item in load_feedback(user_id)}
    recordings = [("recording_msid", msid) for msid in msids] + [("recording_mbid", mbid) for mbid in mbids]
    rows = []
    for field, recording in recordings:
        item = feedback.get(track_ids.get(recording, 0))
        ids_and_score: dict[str, Any] = {
            "user_id": name,
            "recording_mbid": None,
            "recording_msid": None,
            "score": item.score if item else 0,
            "created": item.created if item else None,
            "track_metadata": None,
        }
        rows.append(ids_and_score | {field: str(recording)})
    return Response({"feedback": rows})


def _parse_uuid(body: dict[str, Any], field: str) -> UUID | None:
    """Return a field of the body, None if it is absent or empty. Raises ParseError."""
    value = body.get(field)
    return next(iter(_parse_uuids([value], field)), None) if value else None


def _parse_uuids(value: Any, name: str) -> list[UUID]:
    """Return UUIDs from a list, or from a text that separates them by commas. Raises ParseError."""
    texts: Iterable[Any] = value.split(",") if isinstance(value, str) else value or []
    if not isinstance(texts, list):
        raise ParseError(f"{name}: must be a list of UUIDs")
    if len(texts) > MAX_RECORDINGS:
        raise ParseError(f"{name}: has {len(texts)} UUIDs; send at most {MAX_RECORDINGS} at once")
    try:
        return [UUID(text.strip()) for text in texts if text]
    except (AttributeError, ValueError) as error:
        raise ParseError(f"{name}: is not a UUID") from error
