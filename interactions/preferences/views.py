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
from common.http.body_serializers import refuse_body
from common.http.query_parameters import ApiView
from common.http.references import PATH_SCHEMA
from interactions.models import Block, BlockKind, Interaction
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
from tracks.models import Album, Artist, Track
from tracks.path_ids import TRACK_ID, resolve_path_id, resolve_path_tag_id, resolve_path_track_id

TARGET_MODELS: dict[str, type[Artist | Album | Track]] = {"artist": Artist, "album": Album, "track": Track}
BLOCK_KIND = OpenApiParameter("kind", str, "path", enum=Block.Kind.values)
TARGET_ID = OpenApiParameter(
    "target_id",
    PATH_SCHEMA,
    "path",
    description="The id of the target, or `external:` and the app's own id. A genre has an integer only, its `tag_id`.",
)


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
        return Response(load_preferences(resolve_path_user_id(request, user_id)))


class LikesViewSet(ListenerPreferencesViewSet):
    @extend_schema(operation_id="like_track", parameters=[USER_ID, TRACK_ID], request=None, responses={204: None})
    def put(self, request: Request, user_id: str, track_id: str) -> Response:
        """Like a track; a dislike of it is withdrawn. Repeating it changes nothing."""
        refuse_body(request)
        set_opinion(resolve_path_user_id(request, user_id), resolve_path_track_id(track_id), Interaction.Kind.LIKE)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="unlike_track", parameters=[USER_ID, TRACK_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, track_id: str) -> Response:
        """Withdraw a like. Repeating it changes nothing."""
        clear_opinion(resolve_path_user_id(request, user_id), resolve_path_track_id(track_id), Interaction.Kind.LIKE)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DislikesViewSet(ListenerPreferencesViewSet):
    @extend_schema(operation_id="dislike_track", parameters=[USER_ID, TRACK_ID], request=None, responses={204: None})
    def put(self, request: Request, user_id: str, track_id: str) -> Response:
        """Dislike a track: it is not recommended any more, and similar tracks less. Repeating it changes nothing."""
        refuse_body(request)
        set_opinion(
            resolve_path_user_id(request, user_id),
            resolve_path_track_id(track_id),
            Interaction.Kind.DISLIKE,
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="undislike_track", parameters=[USER_ID, TRACK_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, track_id: str) -> Response:
        """Withdraw a dislike. Repeating it changes nothing."""
        clear_opinion(
            resolve_path_user_id(request, user_id),
            resolve_path_track_id(track_id),
            Interaction.Kind.DISLIKE,
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class BlocksViewSet(ListenerPreferencesViewSet):
    @extend_schema(
        operation_id="add_block",
        parameters=[USER_ID, BLOCK_KIND, TARGET_ID],
        request=BlockSerializer,
        responses={204: None},
    )
    def put(self, request: Request, user_id: str, kind: str, target_id: str) -> Response:
        """Do not recommend this artist, album, track or genre, for good or until a time. The last `until` counts."""
        listener_id, serializer = resolve_path_user_id(request, user_id), BlockSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        until = serializer.validated_data["until"]
        if until is not None and until <= timezone.now():
            raise ValidationError({"until": "is in the past; leave it out for a block without end"})
        add_block(listener_id, kind, _resolve_target_id(kind, target_id), until)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="remove_block", parameters=[USER_ID, BLOCK_KIND, TARGET_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, kind: str, target_id: str) -> Response:
        """Remove a block. Repeating it changes nothing."""
        remove_block(resolve_path_user_id(request, user_id), kind, _resolve_target_id(kind, target_id))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _resolve_target_id(kind: str, target_id: str) -> int:
    """Return the id of the target in the path.

    Raises:
        Http404: no target can have this id.
        ValidationError: the path is not a reference, or gives a genre an external id, which genres do not have.
    """
    if kind != BlockKind.GENRE:
        return resolve_path_id(TARGET_MODELS[kind], "target_id", target_id)
    return resolve_path_tag_id("target_id", target_id, "genre")
