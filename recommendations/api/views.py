from contextlib import suppress
from time import perf_counter

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request as HttpRequest
from rest_framework.viewsets import ViewSet

from access.authentication import SCHEMES
from access.models import Scope
from access.permissions import USER_ID, parse_id, resolve_path_user_id, resolve_user_id
from engine.data.id_map import INT64_MAX
from recommendations.api.authentication import Asking, asked_of
from recommendations.api.query_parameters import QueryParameters, parse_query
from recommendations.api.serializers import AnswerSerializer, PersonalParameters, SimilarParameters
from recommendations.serving.answer import answer, spans
from recommendations.serving.recommender import RecommendationRequest, UnknownTrack
from recommendations.serving.request_context import Revisions
from recommendations.serving.response_cache import response_cache

HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Authorization", "Content-Type": "application/json"}


@extend_schema(auth=SCHEMES)
class RecommendViewSet(Asking, ViewSet):
    """What to hear next."""

    required_scope = Scope.RECOMMEND

    @extend_schema(operation_id="recommend", parameters=[USER_ID, PersonalParameters], responses=AnswerSerializer)
    def personal(self, request: HttpRequest, user_id: str) -> HttpResponse:
        """For a listener, by the model; by popularity where they have fewer than 5 interactions."""
        return self._answered(request, resolve_path_user_id(request, user_id))

    @extend_schema(
        operation_id="recommend_legacy", parameters=[USER_ID, PersonalParameters], responses=AnswerSerializer
    )
    def legacy(self, request: HttpRequest, user_id: str) -> HttpResponse:
        """For a listener, by popularity; never by the model."""
        return self._answered(request, resolve_path_user_id(request, user_id))

    @extend_schema(operation_id="similar", parameters=[SimilarParameters], responses=AnswerSerializer)
    def similar(self, request: HttpRequest, track_id: int) -> HttpResponse:
        """Like a track; by what is known of it where nobody has played it yet."""
        return self._answered(request, resolve_user_id(request.user.pk, self._parsed(request).user_id))

    def about(self, request: HttpRequest) -> int | None:
        named = self.kwargs.get("user_id", "")
        if self.action == "similar":
            with suppress(ValidationError):
                return self._parsed(request).user_id
        listener = parse_id(named) if named.isascii() and named.isdigit() else None
        return listener if listener is not None and listener <= INT64_MAX else None

    def known(self, request: HttpRequest, listener: int | None) -> Revisions:
        with suppress(ValidationError):
            return response_cache.known(self._question(request, listener))
        return Revisions()

    def _answered(self, request: HttpRequest, listener: int | None) -> HttpResponse:
        """304 to a caller who has it, and who goes on showing it under the id it came with."""
        had, asked, began = request.headers.get("If-None-Match", ""), asked_of(request), perf_counter()
        try:
            given = answer(self._question(request, listener), asked, had)
        except UnknownTrack as error:
            raise Http404("no such track") from error
        request._request.strategy = given.strategy  # type: ignore[attr-defined]
        request._request.spans = spans(asked, given, perf_counter() - began)  # type: ignore[attr-defined]
        headers = HEADERS | {"ETag": given.etag}
        if given.etag in had:
            return HttpResponse(status=304, headers=headers)
        return HttpResponse(given.body, headers=headers)

    def _question(self, request: HttpRequest, listener: int | None) -> RecommendationRequest:
        return RecommendationRequest(
            str(self.action), self._parsed(request).request, listener, self.kwargs.get("track_id")
        )

    def _parsed(self, request: HttpRequest) -> QueryParameters:
        """Raises ValidationError."""
        return parse_query(str(self.action), request._request.META.get("QUERY_STRING", ""))
