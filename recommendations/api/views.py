from contextlib import suppress
from time import perf_counter

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from access.authentication import SCHEMES
from access.models import Scope
from access.permissions import USER_ID, parse_id, resolve_path_user_id, resolve_user_id
from engine.data.id_map import INT64_MAX
from recommendations.api.authentication import ContextView
from recommendations.api.query_parameters import PARAMETERS, parse_query
from recommendations.api.serializers import AnswerSerializer
from recommendations.serving.recommend import recommend
from recommendations.serving.request_context import RecommendationRequest, Revisions
from recommendations.serving.response_cache import response_cache
from recommendations.serving.slate import UnknownTrack


@extend_schema(auth=SCHEMES)
class RecommendViewSet(ContextView, ViewSet):
    """Recommendations for one listener, and tracks similar to one track."""

    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters = PARAMETERS

    @extend_schema(operation_id="recommend_tracks", parameters=[USER_ID], responses=AnswerSerializer)
    def personal(self, request: Request, user_id: str) -> HttpResponse:
        """Recommend tracks to a listener by the model; by popularity while they have fewer than 5 interactions."""
        return self._respond(request, resolve_path_user_id(request, user_id))

    @extend_schema(operation_id="recommend_popular_tracks", parameters=[USER_ID], responses=AnswerSerializer)
    def legacy(self, request: Request, user_id: str) -> HttpResponse:
        """Recommend popular tracks to a listener; never by the model."""
        return self._respond(request, resolve_path_user_id(request, user_id))

    @extend_schema(operation_id="recommend_similar_tracks", responses=AnswerSerializer)
    def similar(self, request: Request, track_id: int) -> HttpResponse:
        """Recommend tracks similar to a track; by artist, album and tags if nobody has played it yet."""
        named = parse_query("similar", request.META.get("QUERY_STRING", "")).user_id
        return self._respond(request, resolve_user_id(request.user.pk, named))

    def requested_listener(self, request: Request) -> int | None:
        if self.action == "similar":
            with suppress(ValidationError):
                return parse_query("similar", request.META.get("QUERY_STRING", "")).user_id
        user_id = self.kwargs.get("user_id", "")
        listener_id = parse_id(user_id) if user_id.isascii() and user_id.isdigit() else None
        return listener_id if listener_id is not None and listener_id <= INT64_MAX else None

    def cached_revisions(self, request: Request, listener_id: int | None) -> Revisions:
        with suppress(ValidationError):
            if response := response_cache.get_local(self._recommendation_request(request, listener_id)):
                return response.revisions
        return Revisions()

    def _recommendation_request(self, request: Request, listener_id: int | None) -> RecommendationRequest:
        """Raises ValidationError for a wrong query parameter."""
        options = parse_query(str(self.action), request.META.get("QUERY_STRING", "")).request
        return options._replace(listener_id=listener_id, track_id=self.kwargs.get("track_id"))

    def _respond(self, request: Request, listener_id: int | None) -> HttpResponse:
        """Send the answer; a 304 to a client that has the same slate already, and goes on showing it."""
        started, client_etags = perf_counter(), request.headers.get("If-None-Match", "")
        try:
            response, cached = recommend(self._recommendation_request(request, listener_id), self.context, client_etags)
        except UnknownTrack as error:
            raise Http404("no such track") from error
        request._request.strategy = response.strategy  # type: ignore[attr-defined]  # for the metrics middleware
        request._request.spans = {  # type: ignore[attr-defined]  # for the Server-Timing header
            "db": self.context.query_seconds,
            "cache": "hit" if cached else "miss",
            "answer": perf_counter() - started,
        }
        headers = {"ETag": response.etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        if response.etag in client_etags:
            return HttpResponse(status=304, headers=headers | {"Content-Type": "application/json"})
        return HttpResponse(response.body, content_type="application/json", headers=headers)
