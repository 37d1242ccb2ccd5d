from functools import cached_property
from time import perf_counter
from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from access.authentication import SCHEMES
from access.models import Scope, ServiceKey
from common.http.body_serializers import ReferenceField
from common.http.query_parameters import parse_parameters
from experiments.exposures.pages import load_pages, wait_for_pages
from experiments.models import Slate
from recommendations.api.authentication import ContextView, find_listeners_or_stand_ins
from recommendations.api.responses import build_response
from recommendations.api.serializers import AnswerSerializer
from recommendations.serving.continuation import continue_request
from recommendations.serving.recommend import recommend
from recommendations.serving.request_context import Revisions, load_contexts
from recommendations.serving.response_cache import response_cache
from recommendations.serving.slate import UnknownGenre, UnknownTrack


class NextPageParameters(serializers.Serializer[Any]):
    user_id = ReferenceField(
        required=False,
        help_text="For service keys: the listener of a slate that is stored without one, because they have not "
        "consented; `next` contains it then.",
    )


@extend_schema(auth=SCHEMES)
class NextPageView(ContextView):
    """The pages of a slate after the first."""

    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters: ClassVar = {"get": NextPageParameters}

    @extend_schema(operation_id="get_next_page", responses=AnswerSerializer)
    def get(self, request: Request, recommendation_id: UUID) -> HttpResponse:
        """Continue a slate: the tracks that follow, none of which was on an earlier page."""
        started = perf_counter()
        if not self._pages:
            self._pages = wait_for_pages(recommendation_id)
        if not self._pages or self._pages[0].request is None:
            raise Http404("this slate is not stored, or no longer; ask for a new one, without If-None-Match")
        listener_id = self._find_listener(request)
        context = self.context
        page_request, earlier = continue_request(self._pages, listener_id)
        # The slate names the listener, not the key; and the session, not the request.
        if listener_id is not None and (listener_id != context.listener_id or page_request.session_id):
            context = load_contexts([listener_id], page_request.session_id)[listener_id]
        try:
            answer, cached = recommend(page_request, context, request.headers.get("If-None-Match", ""), earlier=earlier)
        except UnknownTrack as error:
            raise Http404("the track that this slate resembles has been deleted") from error
        except UnknownGenre as error:
            raise Http404("the genre of this slate has been deleted") from error
        return build_response(request, answer, cached, context.query_seconds, perf_counter() - started)

    @cached_property
    def _pages(self) -> list[Slate]:
        """The slate and those before it, the newest first; empty while they are not stored."""
        return load_pages(self.kwargs["recommendation_id"])

    def requested_listener(self, request: Request) -> int | None:
        return None  # the slate names the listener, and is not read before the key has been checked

    def cached_revisions(self, request: Request, listener_id: int | None) -> Revisions:
        if listener_id is not None and self._pages and self._pages[0].request is not None:  # of a token that we signed
            page_request, _ = continue_request(self._pages, listener_id)
            if answer := response_cache.get_local(page_request):
                return answer.revisions
        return Revisions()

    def _find_listener(self, request: Request) -> int | None:
        """Return the listener whose current state the page depends on.

        Raises:
            Http404: the slate is another listener's.
            ValidationError: a parameter is wrong, or a service key has to name the listener, because the slate does
                not.
        """
        slate, parameters = self._pages[0], parse_parameters(NextPageParameters, request.META.get("QUERY_STRING", ""))
        named = find_listeners_or_stand_ins([parameters["user_id"]])[0] if "user_id" in parameters else None
        own = None if isinstance(request.auth, ServiceKey) else request.user.pk
        listeners = {slate.user_id, named, own} - {None}
        if len(listeners) > 1:
            raise Http404("this slate is not stored, or no longer; ask for a new one, without If-None-Match")
        if not listeners and not slate.is_counted:
            raise ValidationError({"?user_id": "is needed: this slate is stored without its listener"})
        return listeners.pop() if listeners else None
