from time import perf_counter
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from access.models import Scope
from access.throttles import consume_quota
from common.http.query_parameters import ApiView
from common.http.references import ExternalId
from recommendations.api.authentication import FIRST_STAND_IN, find_listeners_or_stand_ins
from recommendations.api.group_serializers import GroupAnswerSerializer, GroupSerializer
from recommendations.serving.group import GroupListener, recommend_to_group
from recommendations.serving.request_context import RecommendationRequest, load_contexts

OPTIONS = ("limit", "exclude_played", "explain", "placement", "market", "explicit")


class GroupView(ApiView):
    """One slate for several listeners. A token's listener must not learn what others play, so keys only may ask."""

    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    service_only = True

    @extend_schema(operation_id="recommend_tracks_to_group", request=GroupSerializer, responses=GroupAnswerSerializer)
    def post(self, request: Request) -> HttpResponse:
        """Recommend one list of tracks to several listeners: by their average taste, or so that nobody is unhappy."""
        serializer = GroupSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        body: dict[str, Any] = serializer.validated_data
        references: list[int | ExternalId] = body["listeners"]
        listener_ids = find_listeners_or_stand_ins(references)
        if len(set(listener_ids)) < len(listener_ids):
            raise ValidationError({"listeners": "names a listener twice, by both ids"})
        consume_quota(request, len(listener_ids) - 1)
        started = perf_counter()
        contexts = load_contexts(listener_ids)
        loaded = perf_counter()
        listeners = [
            GroupListener(_name(reference, listener_id), contexts[listener_id])
            for reference, listener_id in zip(references, listener_ids, strict=True)
        ]
        options = RecommendationRequest("personal", **{name: body[name] for name in OPTIONS})
        answer = recommend_to_group(options, body["strategy"], listeners)
        django_request: Any = request._request
        django_request.strategy = answer.strategy  # for the metrics middleware
        django_request.spans = {"db": loaded - started, "answer": perf_counter() - loaded}
        return HttpResponse(answer.body, content_type="application/json")


def _name(reference: int | ExternalId, listener_id: int) -> dict[str, Any]:
    """Return what an answer calls a listener: by their id, and by the external id if the request named them by it."""
    name: dict[str, Any] = {"user_id": listener_id if listener_id < FIRST_STAND_IN else None}
    return name | {"external_id": reference.text} if isinstance(reference, ExternalId) else name
