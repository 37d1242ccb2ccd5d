"""Recommended artists and genres, and similar artists, over HTTP."""

from time import perf_counter
from typing import Any, ClassVar

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from access.authentication import SCHEMES
from access.models import Scope
from access.permissions import USER_ID
from common.http.query_parameters import parse_parameters
from recommendations.api.authentication import PathListenerView, QueryListenerView
from recommendations.api.responses import build_response
from recommendations.discovery.serializers import (
    RecommendedArtistsParameters,
    RecommendedArtistsSerializer,
    RecommendedGenresParameters,
    RecommendedGenresSerializer,
    RelatedArtistsSerializer,
    SimilarArtistsParameters,
)
from recommendations.discovery.services import recommend_artists, recommend_genres, recommend_similar_artists
from recommendations.serving.request_context import RecommendationRequest
from tracks.models import Artist
from tracks.pages.selectors import is_in_catalogue
from tracks.path_ids import ARTIST_ID, resolve_path_id


@extend_schema(auth=SCHEMES)
class RecommendedArtistsView(PathListenerView):
    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters: ClassVar = {"get": RecommendedArtistsParameters}

    @extend_schema(operation_id="recommend_artists", parameters=[USER_ID], responses=RecommendedArtistsSerializer)
    def get(self, request: Request, user_id: str) -> HttpResponse:
        """Recommend artists to a listener, by default those whom they have not played."""
        started, options = perf_counter(), _parse(request, RecommendedArtistsParameters)
        exclude_known = options.pop("exclude_known")
        asked = RecommendationRequest("personal", listener_id=self.find_listener(request, user_id), **options)
        etags = request.headers.get("If-None-Match", "")
        answer, cached = recommend_artists(asked, self.context, etags, exclude_known=exclude_known)
        return build_response(request, answer, cached, self.context.query_seconds, perf_counter() - started)


@extend_schema(auth=SCHEMES)
class RecommendedGenresView(PathListenerView):
    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters: ClassVar = {"get": RecommendedGenresParameters}

    @extend_schema(operation_id="recommend_genres", parameters=[USER_ID], responses=RecommendedGenresSerializer)
    def get(self, request: Request, user_id: str) -> HttpResponse:
        """Recommend genres to a listener, known and new ones."""
        started, options = perf_counter(), _parse(request, RecommendedGenresParameters)
        asked = RecommendationRequest("personal", listener_id=self.find_listener(request, user_id), **options)
        answer, cached = recommend_genres(asked, self.context, request.headers.get("If-None-Match", ""))
        return build_response(request, answer, cached, self.context.query_seconds, perf_counter() - started)


@extend_schema(auth=SCHEMES)
class ArtistsLikeView(QueryListenerView):
    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters: ClassVar = {"get": SimilarArtistsParameters}

    @extend_schema(operation_id="recommend_similar_artists", parameters=[ARTIST_ID], responses=RelatedArtistsSerializer)
    def get(self, request: Request, artist_id: str) -> HttpResponse:
        """Recommend artists similar to an artist: those whose tracks are the nearest to theirs."""
        started, options = perf_counter(), _parse(request, SimilarArtistsParameters)
        listener_id = self.resolve_listener(request, options.pop("user_id", None))
        artist = resolve_path_id(Artist, "artist_id", artist_id)
        if not is_in_catalogue(Artist, artist):
            raise Http404("no such artist; GET /search/artists finds artists by their names")
        asked = RecommendationRequest("similar", listener_id=listener_id, **options)
        etags = request.headers.get("If-None-Match", "")
        answer, cached = recommend_similar_artists(artist, asked, self.context, etags)
        return build_response(request, answer, cached, self.context.query_seconds, perf_counter() - started)


def _parse(request: Request, parameters: Any) -> dict[str, Any]:
    return parse_parameters(parameters, request.META.get("QUERY_STRING", ""))
