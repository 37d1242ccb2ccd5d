from contextlib import suppress
from functools import cached_property
from time import perf_counter

from django.http import Http404, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from access.authentication import SCHEMES
from access.models import Scope
from access.permissions import USER_ID
from common.http.query_parameters import MAX_NAME_LENGTH
from recommendations.api.authentication import PathListenerView, find_listeners_or_stand_ins
from recommendations.api.query_parameters import PARAMETERS, parse_query
from recommendations.api.responses import build_response
from recommendations.api.serializers import AnswerSerializer
from recommendations.serving.recommend import recommend
from recommendations.serving.request_context import RecommendationRequest, Revisions
from recommendations.serving.response_cache import response_cache
from recommendations.serving.slate import UnknownGenre, UnknownTrack
from tracks.match_keys import normalize_tag
from tracks.path_ids import TRACK_ID, resolve_path_track_id

GENRE = OpenApiParameter(
    "name",
    str,
    "path",
    description="The name of a genre or of another tag, however it is written, or a `tag_id`. It may contain a slash.",
)
HOW_TO_FIND_TAGS = "track pages (GET /tracks/{track_id}) list the tags of a track"


@extend_schema(auth=SCHEMES)
class RecommendViewSet(PathListenerView, ViewSet):
    """Recommendations for one listener, of all tracks or of one genre, and tracks similar to one track."""

    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters = PARAMETERS

    @extend_schema(operation_id="recommend_tracks", parameters=[USER_ID], responses=AnswerSerializer)
    def personal(self, request: Request, user_id: str) -> HttpResponse:
        """Recommend tracks to a listener by the model; by popularity while they have fewer than 5 interactions."""
        return self._respond(request, self.find_listener(request, user_id))

    @extend_schema(operation_id="recommend_popular_tracks", parameters=[USER_ID], responses=AnswerSerializer)
    def legacy(self, request: Request, user_id: str) -> HttpResponse:
        """Recommend popular tracks to a listener; never by the model."""
        return self._respond(request, self.find_listener(request, user_id))

    @extend_schema(operation_id="recommend_similar_tracks", parameters=[TRACK_ID], responses=AnswerSerializer)
    def similar(self, request: Request, track_id: str) -> HttpResponse:
        """Recommend tracks similar to a track: by who plays them, by their content, or by both."""
        return self._respond(request, self._named_listener(request))

    @extend_schema(operation_id="recommend_genre_tracks", parameters=[GENRE], responses=AnswerSerializer)
    def genre(self, request: Request, name: str) -> HttpResponse:
        """Recommend tracks of a genre, or of another tag, to a listener; without a listener the most popular ones."""
        return self._respond(request, self._named_listener(request))

    def requested_listener(self, request: Request) -> int | None:
        with suppress(ValidationError):
            if self.action in ("similar", "genre"):
                reference = parse_query(self.action, request.META.get("QUERY_STRING", "")).user_id
                return None if reference is None else find_listeners_or_stand_ins([reference])[0]
            return super().requested_listener(request)
        return None

    def requested_session(self, request: Request) -> str:
        with suppress(ValidationError):
            return parse_query(str(self.action), request.META.get("QUERY_STRING", "")).request.session_id
        return ""

    def cached_revisions(self, request: Request, listener_id: int | None) -> Revisions:
        with suppress(ValidationError, Http404):
            if response := response_cache.get_local(self._recommendation_request(request, listener_id)):
                return response.revisions
        return Revisions()

    @cached_property
    def _track_id(self) -> int | None:
        """The track that a path of similar tracks names. Raises ValidationError, or Http404 for an unknown one."""
        return resolve_path_track_id(self.kwargs["track_id"]) if self.action == "similar" else None

    @cached_property
    def _genre(self) -> int | str | None:
        """The genre that a path names: the id of a tag, or a normalized name."""
        if self.action != "genre":
            return None
        name: str = self.kwargs["name"]
        is_id = name.isascii() and name.isdigit() and len(name) < 19  # digits of the largest id
        return int(name) if is_id else normalize_tag(name)

    def _named_listener(self, request: Request) -> int | None:
        """Return the listener of a request that need not name one: that of a token, or the one that a key names."""
        named = parse_query(str(self.action), request.META.get("QUERY_STRING", "")).user_id
        return self.resolve_listener(request, named)

    def _recommendation_request(self, request: Request, listener_id: int | None) -> RecommendationRequest:
        """Raises ValidationError for an invalid parameter or path, and Http404 for an unknown track."""
        options = parse_query(str(self.action), request.META.get("QUERY_STRING", "")).request
        return options._replace(listener_id=listener_id, track_id=self._track_id, genre=self._genre)

    def _respond(self, request: Request, listener_id: int | None) -> HttpResponse:
        """Send the answer; a 304 to a client that has the same slate already, and goes on showing it."""
        started, client_etags = perf_counter(), request.headers.get("If-None-Match", "")
        try:
            response, cached = recommend(self._recommendation_request(request, listener_id), self.context, client_etags)
        except UnknownTrack as error:
            raise Http404("no such track") from error
        except UnknownGenre as error:
            name = self.kwargs["name"][:MAX_NAME_LENGTH]
            raise Http404(f"no genre and no other tag is called {name!r}; {HOW_TO_FIND_TAGS}") from error
        return build_response(request, response, cached, self.context.query_seconds, perf_counter() - started)
