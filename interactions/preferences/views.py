from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access.models import Scope
from access.permissions import USER_ID, resolve_path_user_id
from common.http.query_parameters import ApiView
from engine.data.id_map import INT64_MAX
from interactions.models import Block, Interaction
from interactions.preferences.serializers import BlockSerializer, PreferencesSerializer
from interactions.preferences.services import (
    ConsentMissing,
    TargetNotFound,
    add_block,
    clear_opinion,
    load_preferences,
    remove_block,
    set_opinion,
)

BLOCK_KIND = OpenApiParameter("kind", str, "path", enum=Block.Kind.values)


class ConsentConflict(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "the listener's consent is off, so likes and dislikes are not stored; blocks are"


class ListenerPreferencesViewSet(ApiView, ViewSet):
    """Base class that turns the exceptions of the services into responses."""

    schema_tag = "Listeners"
    required_scope = Scope.EVENTS

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, TargetNotFound):
            exc = Http404(str(exc))
        elif isinstance(exc, ConsentMissing):
            exc = ConsentConflict()
        return super().handle_exception(exc)


class PreferencesViewSet(ListenerPreferencesViewSet):
    @extend_schema(operation_id="read_preferences", parameters=[USER_ID], responses=PreferencesSerializer)
    def retrieve(self, request: Request, user_id: str) -> Response:
        """Show what a listener likes, dislikes and has blocked."""
        return Response(load_preferences(_resolve_listener_id(request, user_id)))


class LikesViewSet(ListenerPreferencesViewSet):
    @extend_schema(operation_id="like_track", parameters=[USER_ID], request=None, responses={204: None})
    def put(self, request: Request, user_id: str, track_id: int) -> Response:
        """Like a track; a dislike of it is withdrawn. Repeating it changes nothing."""
        set_opinion(_resolve_listener_id(request, user_id), _checked_id(track_id), Interaction.Kind.LIKE)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="unlike_track", parameters=[USER_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, track_id: int) -> Response:
        """Withdraw a like. Repeating it changes nothing."""
        clear_opinion(_resolve_listener_id(request, user_id), _checked_id(track_id), Interaction.Kind.LIKE)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DislikesViewSet(ListenerPreferencesViewSet):
    @extend_schema(operation_id="dislike_track", parameters=[USER_ID], request=None, responses={204: None})
    def put(self, request: Request, user_id: str, track_id: int) -> Response:
        """Dislike a track: it is not recommended any more, and similar tracks less. Repeating it changes nothing."""
        set_opinion(_resolve_listener_id(request, user_id), _checked_id(track_id), Interaction.Kind.DISLIKE)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="undislike_track", parameters=[USER_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, track_id: int) -> Response:
        """Withdraw a dislike. Repeating it changes nothing."""
        clear_opinion(_resolve_listener_id(request, user_id), _checked_id(track_id), Interaction.Kind.DISLIKE)
        return Response(status=status.HTTP_204_NO_CONTENT)


class BlocksViewSet(ListenerPreferencesViewSet):
    @extend_schema(
        operation_id="add_block", parameters=[USER_ID, BLOCK_KIND], request=BlockSerializer, responses={204: None}
    )
    def put(self, request: Request, user_id: str, kind: str, target_id: int) -> Response:
        """Do not recommend this artist, album, track or genre, for good or until a time. The last `until` counts."""
        listener_id, serializer = _resolve_listener_id(request, user_id), BlockSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        until = serializer.validated_data["until"]
        if until is not None and until <= timezone.now():
            raise ValidationError({"until": "is in the past; leave it out for a block without end"})
        add_block(listener_id, kind, _checked_id(target_id), until)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="remove_block", parameters=[USER_ID, BLOCK_KIND], responses={204: None})
    def delete(self, request: Request, user_id: str, kind: str, target_id: int) -> Response:
        """Remove a block. Repeating it changes nothing."""
        remove_block(_resolve_listener_id(request, user_id), kind, _checked_id(target_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _resolve_listener_id(request: Request, user_id: str) -> int:
    return _checked_id(resolve_path_user_id(request, user_id), "listener")


def _checked_id(number: int, kind: str = "track") -> int:
    """Return the id from the path, or raise Http404 if it is too large for an id in the database."""
    if number > INT64_MAX:
        raise Http404(f"no such {kind}")
    return number
