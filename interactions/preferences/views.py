from collections.abc import Callable
from typing import Any

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

KIND = OpenApiParameter("kind", str, "path", enum=Block.Kind.values)


class ConsentIsOff(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = "the listener's consent is off, so likes and dislikes are not kept; blocks are"


class _Preferences(ViewSet):
    required_scope = Scope.EVENTS


class PreferencesViewSet(_Preferences):
    @extend_schema(operation_id="preferences", parameters=[USER_ID], responses=PreferencesSerializer)
    def retrieve(self, request: Request, user_id: str) -> Response:
        """What a listener likes, dislikes and has blocked."""
        return Response(_done(lambda: load_preferences(_listener(request, user_id))))


class LikesViewSet(_Preferences):
    @extend_schema(operation_id="like", parameters=[USER_ID], request=None, responses={204: None})
    def put(self, request: Request, user_id: str, track_id: int) -> Response:
        """Like a track; a dislike of it is withdrawn. Repeating it changes nothing."""
        return _said(request, user_id, track_id, Interaction.Kind.LIKE)

    @extend_schema(operation_id="unlike", parameters=[USER_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, track_id: int) -> Response:
        """Like it no longer. Repeating it changes nothing."""
        return _withdrawn(request, user_id, track_id, Interaction.Kind.LIKE)


class DislikesViewSet(_Preferences):
    @extend_schema(operation_id="dislike", parameters=[USER_ID], request=None, responses={204: None})
    def put(self, request: Request, user_id: str, track_id: int) -> Response:
        """Dislike a track: it is offered no more, and what is like it less. Repeating it changes nothing."""
        return _said(request, user_id, track_id, Interaction.Kind.DISLIKE)

    @extend_schema(operation_id="undislike", parameters=[USER_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, track_id: int) -> Response:
        """Dislike it no longer. Repeating it changes nothing."""
        return _withdrawn(request, user_id, track_id, Interaction.Kind.DISLIKE)


class BlocksViewSet(_Preferences):
    @extend_schema(operation_id="block", parameters=[USER_ID, KIND], request=BlockSerializer, responses={204: None})
    def put(self, request: Request, user_id: str, kind: str, target_id: int) -> Response:
        """Never offer this artist, album, track or genre, or not until a time. Repeated, the last `until` counts."""
        user, wanted = _listener(request, user_id), BlockSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        until = wanted.validated_data["until"]
        if until is not None and until <= timezone.now():
            raise ValidationError({"until": "is in the past; leave it out for a block without end"})
        _done(lambda: add_block(user, kind, _id(target_id), until))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="unblock", parameters=[USER_ID, KIND], responses={204: None})
    def delete(self, request: Request, user_id: str, kind: str, target_id: int) -> Response:
        """Offer it again. Repeating it changes nothing."""
        user = _listener(request, user_id)
        _done(lambda: remove_block(user, kind, _id(target_id)))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _said(request: Request, user_id: str, track_id: int, opinion: Interaction.Kind) -> Response:
    user = _listener(request, user_id)
    _done(lambda: set_opinion(user, _id(track_id), opinion))
    return Response(status=status.HTTP_204_NO_CONTENT)


def _withdrawn(request: Request, user_id: str, track_id: int, opinion: Interaction.Kind) -> Response:
    user = _listener(request, user_id)
    _done(lambda: clear_opinion(user, _id(track_id), opinion))
    return Response(status=status.HTTP_204_NO_CONTENT)


def _listener(request: Request, user_id: str) -> int:
    return _id(resolve_path_user_id(request, user_id), "listener")


def _id(number: int, kind: str = "track") -> int:
    """A number that a database can be asked for."""
    if number > INT64_MAX:
        raise Http404(f"no such {kind}")
    return number


def _done(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except TargetNotFound as error:
        raise Http404(str(error)) from error
    except ConsentMissing as error:
        raise ConsentIsOff from error
