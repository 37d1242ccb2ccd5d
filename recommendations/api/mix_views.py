"""The mixes of a listener, and their home screen, over HTTP."""

from contextlib import suppress
from functools import lru_cache
from time import perf_counter
from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import Serializer

from access.authentication import SCHEMES
from access.models import Scope
from access.permissions import USER_ID
from common.http.query_parameters import parse_parameters
from recommendations.api.authentication import PathListenerView
from recommendations.api.mix_serializers import HomeParameters, MixesParameters, MixesSerializer
from recommendations.api.responses import build_response
from recommendations.mixes.services import ScreenRequest, answer_screen
from recommendations.serving.request_context import RecommendationRequest, Revisions
from recommendations.serving.response_cache import response_cache


@lru_cache(maxsize=4096)
def _parse(screen: str, parameters: type[Serializer[Any]], query_string: str) -> ScreenRequest:
    """Parse a query string; apps send the same few all the time. Raises ValidationError."""
    options = parse_parameters(parameters, query_string)
    shelves = options.pop("shelves", None)
    return ScreenRequest(screen, RecommendationRequest("personal", **options), shelves)


class ScreenView(PathListenerView):
    """Base class of the views that show mixes.

    Attributes:
        screen: which one.
    """

    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    screen: ClassVar[str]

    def respond(self, request: Request, user_id: str) -> HttpResponse:
        """Send the answer; a 304 to a client that has the same one already.

        Raises:
            Http404: a listener names somebody else.
            ValidationError: the path is not a reference, or a service key names "me".
        """
        started, client_etags = perf_counter(), request.headers.get("If-None-Match", "")
        screen_request = self._screen_request(request, self.find_listener(request, user_id))
        answer, cached = answer_screen(screen_request, self.context, client_etags)
        return build_response(request, answer, cached, self.context.query_seconds, perf_counter() - started)

    def cached_revisions(self, request: Request, listener_id: int | None) -> Revisions:
        with suppress(ValidationError):
            if response := response_cache.get_local(self._screen_request(request, listener_id)):
                return response.revisions
        return Revisions()

    def _screen_request(self, request: Request, listener_id: int | None) -> ScreenRequest:
        """Raises ValidationError for an invalid parameter."""
        parsed = _parse(self.screen, self.query_parameters["get"], request.META.get("QUERY_STRING", ""))
        return parsed._replace(options=parsed.options._replace(listener_id=listener_id))


@extend_schema(auth=SCHEMES)
class MixesView(ScreenView):
    screen = "mixes"
    query_parameters: ClassVar = {"get": MixesParameters}

    @extend_schema(operation_id="list_mixes", parameters=[USER_ID], responses=MixesSerializer)
    def get(self, request: Request, user_id: str) -> HttpResponse:
        """List the mixes of a listener for today, with their tracks; no recording is on two of them."""
        return self.respond(request, user_id)


@extend_schema(auth=SCHEMES)
class HomeView(ScreenView):
    screen = "home"
    query_parameters: ClassVar = {"get": HomeParameters}

    @extend_schema(operation_id="read_home_screen", parameters=[USER_ID], responses=MixesSerializer)
    def get(self, request: Request, user_id: str) -> HttpResponse:
        """Show the home screen of a listener: the first shelves of today's mixes, each with fewer tracks."""
        return self.respond(request, user_id)
