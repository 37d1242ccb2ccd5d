from contextlib import suppress
from time import perf_counter
from typing import Any

import orjson
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from access.authentication import SCHEMES
from access.models import Scope, ServiceKey
from access.permissions import resolve_own_user_id
from access.throttles import consume_quota
from common.http.references import ExternalId
from engine.retrieval.candidates import HYBRID
from recommendations.api.authentication import FIRST_STAND_IN, BodyContextView, find_listeners_or_stand_ins
from recommendations.api.batch_serializers import KINDS, BatchAnswerSerializer, BatchSerializer
from recommendations.serving.batch import ShelfRequest, recommend_shelves, recommend_to_listeners
from recommendations.serving.request_context import RecommendationRequest, load_contexts
from recommendations.serving.response_cache import CachedResponse
from recommendations.serving.slate import UnknownTrack
from tracks.models import Track
from tracks.selectors import find_ids

OPTIONS = (
    "limit",
    "exclude_played",
    "familiarity",
    "diversity",
    "explain",
    "placement",
    "market",
    "explicit",
    "session_id",
    "device",
    "activity",
)


@extend_schema(auth=SCHEMES)
class BatchView(BodyContextView):
    """Answers for many listeners, or many shelves of one listener's screen."""

    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    body_serializer = BatchSerializer

    @extend_schema(operation_id="recommend_batch", request=BatchSerializer, responses=BatchAnswerSerializer)
    def post(self, request: Request) -> HttpResponse:
        """Recommend tracks to many listeners, or for many shelves of one listener: no track is on two of them."""
        body = self.validated_body(request)
        options = RecommendationRequest("personal", **{name: body[name] for name in OPTIONS if name in body})
        return self._listeners(request, body, options) if "users" in body else self._shelves(request, body, options)

    def requested_session(self, request: Request) -> str:
        with suppress(APIException):
            return str(self.validated_body(request)["session_id"])
        return ""

    def _listeners(self, request: Request, body: dict[str, Any], options: RecommendationRequest) -> HttpResponse:
        references: list[int | ExternalId] = body["users"]
        if isinstance(request.auth, ServiceKey):
            listener_ids = find_listeners_or_stand_ins(references)
        else:
            listener_ids = [resolve_own_user_id(request, reference) for reference in references]
        if len(set(listener_ids)) < len(listener_ids):
            raise ValidationError({"users": "names a listener twice"})
        consume_quota(request, len(listener_ids) - 1)
        started = perf_counter()
        requests = [options._replace(listener_id=listener_id) for listener_id in listener_ids]
        recommendations = recommend_to_listeners(requests, load_contexts(listener_ids, options.session_id))
        responses = [response for response, _ in recommendations]
        _report(request, responses, sum(cached for _, cached in recommendations), started)
        answers = [
            _prepend(response, user_id=listener_id if listener_id < FIRST_STAND_IN else None, **_external_id(reference))
            for reference, listener_id, response in zip(references, listener_ids, responses, strict=True)
        ]
        return _json_list("answers", answers)

    def _shelves(self, request: Request, body: dict[str, Any], options: RecommendationRequest) -> HttpResponse:
        listener_id = self.resolve_listener(request, body.get("user_id"))
        if listener_id is None:
            raise ValidationError({"user_id": "is needed with a service key"})
        references = [shelf["track_id"] for shelf in body["shelves"] if "track_id" in shelf]
        track_ids = find_ids(Track, references)
        if unknown := [reference for reference in references if reference not in track_ids]:
            raise ValidationError({"shelves": f"there is no track {unknown[0]} in the catalogue"})
        consume_quota(request, len(body["shelves"]) - 1)
        started = perf_counter()
        shelves = [
            ShelfRequest(
                shelf["name"],
                KINDS[shelf["kind"]],
                shelf["limit"],
                track_ids.get(shelf.get("track_id")),
                shelf.get("similarity", HYBRID),
            )
            for shelf in body["shelves"]
        ]
        try:
            responses = recommend_shelves(options._replace(listener_id=listener_id), self.context, shelves)
        except UnknownTrack as error:
            raise ValidationError({"shelves": f"there is no track {error} in the catalogue"}) from error
        _report(request, responses, 0, started)
        answers = [_prepend(response, name=shelf.name) for shelf, response in zip(shelves, responses, strict=True)]
        return _json_list("shelves", answers)


def _report(request: Request, responses: list[CachedResponse], cached: int, started: float) -> None:
    """Tell the metrics middleware how the batch was answered."""
    strategies = {response.strategy for response in responses}
    django_request: Any = request._request
    django_request.strategy = strategies.pop() if len(strategies) == 1 else "mixed"
    django_request.spans = {"cache": f"{cached} of {len(responses)}", "answer": perf_counter() - started}


def _external_id(reference: int | ExternalId) -> dict[str, str]:
    """Return the member of an answer that repeats the external id by which the request named its listener."""
    return {"external_id": reference.text} if isinstance(reference, ExternalId) else {}


def _prepend(response: CachedResponse, **members: Any) -> bytes:
    """Put members in front of the others of a JSON object."""
    return orjson.dumps(members)[:-1] + b"," + response.body[1:]


def _json_list(name: str, answers: list[bytes]) -> HttpResponse:
    return HttpResponse(b'{"%s":[%s]}' % (name.encode(), b",".join(answers)), content_type="application/json")
