from collections.abc import Callable
from functools import partial
from typing import ClassVar

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from access.permissions import USER_ID, resolve_path_user_id
from access.selectors import consent_by_user_id
from common.http.cursor_pages import PageParameters, build_page, decode_moment
from common.http.query_parameters import ApiView, parse_parameters
from interactions.lists.selectors import Page, Position, load_blocks, load_history, load_opinions
from interactions.lists.serializers import (
    BlockListParameters,
    BlockListSerializer,
    DislikeListSerializer,
    HistoryParameters,
    HistorySerializer,
    LikeListSerializer,
)
from interactions.models import InteractionKind


class ListenerListView(ApiView):
    """Base class of the lists of a listener, whose parameters are those of `query_parameters`."""

    schema_tag = "Listeners"
    required_scope = Scope.EVENTS
    query_parameters: ClassVar = {"get": PageParameters}

    def respond(self, request: Request, user_id: str, load: Callable[..., Page]) -> Response:
        """Return the page that `load` reads, given the listener and the parameters of the request.

        Raises:
            Http404: there is no such listener, or a listener names somebody else.
        """
        listener_id = resolve_path_user_id(request, user_id)
        if listener_id not in consent_by_user_id([listener_id]):
            raise Http404("no such listener")
        options = parse_parameters(self.query_parameters["get"], request.META.get("QUERY_STRING", ""))
        if "cursor" in options:
            options["after"] = Position(*decode_moment(options.pop("cursor")))
        page = load(listener_id, **options)
        return Response(build_page(request, page.items, page.position))


class HistoryView(ListenerListView):
    query_parameters: ClassVar = {"get": HistoryParameters}

    @extend_schema(operation_id="list_history", parameters=[USER_ID], responses=HistorySerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """List what a listener has played and skipped, the latest first."""
        return self.respond(request, user_id, load_history)


class LikeListView(ListenerListView):
    @extend_schema(operation_id="list_likes", parameters=[USER_ID], responses=LikeListSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """List the tracks that a listener likes, the latest like first."""
        return self.respond(request, user_id, partial(load_opinions, opinion=InteractionKind.LIKE))


class DislikeListView(ListenerListView):
    @extend_schema(operation_id="list_dislikes", parameters=[USER_ID], responses=DislikeListSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """List the tracks that a listener dislikes, the latest dislike first."""
        return self.respond(request, user_id, partial(load_opinions, opinion=InteractionKind.DISLIKE))


class BlockListView(ListenerListView):
    query_parameters: ClassVar = {"get": BlockListParameters}

    @extend_schema(operation_id="list_blocks", parameters=[USER_ID], responses=BlockListSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """List the artists, albums, tracks and genres that a listener has blocked, the latest block first."""
        return self.respond(request, user_id, load_blocks)
