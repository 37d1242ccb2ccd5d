import hashlib
from typing import Any

import orjson
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import ViewSet

from access.models import Scope
from access.permissions import USER_ID, listener_id
from recommendations.serializers import AnswerSerializer, PersonalParameters, SimilarParameters
from recommendations.services import (
    Answer,
    Request,
    UnknownTrack,
    note_shown,
    recommend_for,
    recommend_similar,
    recommend_without_model,
)


class RecommendViewSet(ViewSet):
    """What to hear next."""

    required_scope = Scope.RECOMMEND

    @extend_schema(operation_id="recommend", parameters=[USER_ID, PersonalParameters], responses=AnswerSerializer)
    def personal(self, request: HttpRequest, user_id: str) -> Response:
        """For a listener, by the model; by popularity where they have fewer than 5 interactions."""
        wanted = _parse(PersonalParameters, request)
        return _render(request, recommend_for(listener_id(request, user_id), wanted))

    @extend_schema(
        operation_id="recommend_legacy", parameters=[USER_ID, PersonalParameters], responses=AnswerSerializer
    )
    def legacy(self, request: HttpRequest, user_id: str) -> Response:
        """For a listener, by popularity; never by the model."""
        wanted = _parse(PersonalParameters, request)
        return _render(request, recommend_without_model(listener_id(request, user_id), wanted))

    @extend_schema(operation_id="similar", parameters=[SimilarParameters], responses=AnswerSerializer)
    def similar(self, request: HttpRequest, track_id: int) -> Response:
        """Like a track; by what is known of it where nobody has played it yet."""
        fields = _fields(SimilarParameters, request)
        named = fields.pop("user_id", None)
        own = request.user.pk  # None for a service key
        if own is not None and named not in (None, own):
            raise Http404("no such listener")
        try:
            return _render(request, recommend_similar(track_id, Request(**fields), own or named))
        except UnknownTrack as error:
            raise Http404("no such track") from error


def _parse(parameters: type[Serializer[Any]], request: HttpRequest) -> Request:
    return Request(**_fields(parameters, request))


def _fields(parameters: type[Serializer[Any]], request: HttpRequest) -> dict[str, Any]:
    parsed = parameters(data=request.query_params.dict())
    if not parsed.is_valid():
        raise ValidationError({f"?{name}": said for name, said in parsed.errors.items()})
    return dict(parsed.validated_data)


def _render(request: HttpRequest, answer: Answer) -> Response:
    """The same tracks by the same version for the same reason are the same slate: ConditionalGetMiddleware answers 304
    to a caller who has it, and who goes on showing it under the id it came with."""
    lasting = {k: v for k, v in answer.body.items() if k not in ("recommendation_id", "generated_at")}
    etag = f'W/"{hashlib.blake2b(orjson.dumps(lasting), digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    if etag not in request.headers.get("If-None-Match", ""):
        note_shown(answer)
    return Response(answer.body, headers=headers)
