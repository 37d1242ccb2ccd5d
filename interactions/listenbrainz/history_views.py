"""Views of a listener's listens, of the track that is playing, and of how far their history was copied."""

import time
from datetime import UTC, datetime
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from common.http.json import escape_unstorable
from interactions.listenbrainz.base_view import (
    ERRORS_WITH_NAME,
    ListenTokenView,
    named_listener,
    parse_count,
    parse_integer,
    read_json_object,
    token_listener,
)
from interactions.listenbrainz.payload import CLOCK_TOLERANCE_S
from interactions.listenbrainz.selectors import count_listens, load_latest_import, load_listens, load_playing_now
from interactions.listenbrainz.serializers import (
    AcceptedSerializer,
    LatestImportChangeSerializer,
    LatestImportSerializer,
    ListenCountAnswerSerializer,
    ListensAnswerSerializer,
    PlayingNowAnswerSerializer,
)
from interactions.listenbrainz.services import advance_latest_import

DEFAULT_SERVICE = "lastfm"
MAX_SERVICE_LENGTH = 64
_SERVICE = OpenApiParameter("service", str, description="The other service; `lastfm` if it is absent.")


class ListensView(ListenTokenView):
    @extend_schema(
        operation_id="list_listens",
        parameters=[
            OpenApiParameter("count", int, description="The largest number of listens: 25 if absent, at most 1,000."),
            OpenApiParameter("max_ts", int, description="Only listens that began before this UNIX second."),
            OpenApiParameter("min_ts", int, description="The first listens that began after this UNIX second."),
        ],
        responses={200: ListensAnswerSerializer, **ERRORS_WITH_NAME},
    )
    def get(self, request: Request, user_name: str) -> Response:
        """List the listens of the token's own listener, the latest first."""
        listener, count = named_listener(request, user_name), parse_count(request)
        after, before = parse_integer(request, "min_ts"), parse_integer(request, "max_ts")
        if after is not None and before is not None and before <= after:
            raise ParseError("max_ts: must be greater than min_ts")
        page = load_listens(listener.user_id, listener.name, count, after, before)
        payload = {
            "count": len(page.listens),
            "user_id": listener.name,
            "latest_listen_ts": page.newest,
            "oldest_listen_ts": page.oldest,
            "listens": page.listens,
        }
        return Response({"payload": payload})


class ListenCountView(ListenTokenView):
    @extend_schema(operation_id="get_listen_count", responses={200: ListenCountAnswerSerializer, **ERRORS_WITH_NAME})
    def get(self, request: Request, user_name: str) -> Response:
        """Count the listens of the token's own listener."""
        return Response({"payload": {"count": count_listens(named_listener(request, user_name).user_id)}})


class PlayingNowView(ListenTokenView):
    @extend_schema(operation_id="get_playing_now", responses={200: PlayingNowAnswerSerializer, **ERRORS_WITH_NAME})
    def get(self, request: Request, user_name: str) -> Response:
        """Show the track that the token's own listener is playing, if there is one."""
        user_id, name = named_listener(request, user_name)
        metadata = load_playing_now(user_id)
        listens = [] if metadata is None else [{"track_metadata": metadata, "user_name": name, "playing_now": True}]
        return Response({"payload": {"count": len(listens), "user_id": name, "playing_now": True, "listens": listens}})


class LatestImportView(ListenTokenView):
    @extend_schema(
        operation_id="get_latest_import",
        parameters=[OpenApiParameter("user_name", str, required=True), _SERVICE],
        responses={200: LatestImportSerializer, **ERRORS_WITH_NAME},
    )
    def get(self, request: Request) -> Response:
        """Show up to which time a client has copied the listener's history from another service."""
        user_id, name = named_listener(request, request.query_params.get("user_name", ""))
        service = _check_service(request.query_params.get("service"))
        latest = load_latest_import(user_id, service)
        return Response({"musicbrainz_id": name, "latest_import": latest, "status": None, "error": None})

    @extend_schema(
        operation_id="set_latest_import",
        request={"application/json": LatestImportChangeSerializer},
        responses={200: AcceptedSerializer, **ERRORS_WITH_NAME},
    )
    def post(self, request: Request) -> Response:
        """Store up to which time a client has copied the listener's history. An earlier time changes nothing."""
        body = read_json_object(request)
        service, latest = _check_service(body.get("service")), int(time.time()) + CLOCK_TOLERANCE_S
        try:
            listened_at = int(body.get("ts", 0))
        except (TypeError, ValueError, OverflowError):
            listened_at = -1
        if not 0 <= listened_at <= latest:
            raise ParseError("ts: must be a UNIX second in the past")
        advance_latest_import(token_listener(request).user_id, service, datetime.fromtimestamp(listened_at, UTC))
        return Response({"status": "ok"})


def _check_service(service: Any) -> str:
    """Return the name of the other service. Raises ParseError."""
    if service is None or service == "":
        return DEFAULT_SERVICE
    if not isinstance(service, str) or len(service) > MAX_SERVICE_LENGTH or escape_unstorable(service) != service:
        raise ParseError(f"service: must be a text of at most {MAX_SERVICE_LENGTH} characters")
    return service.lower()
