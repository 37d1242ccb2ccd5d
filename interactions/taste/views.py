from typing import Any, ClassVar

from django.db import IntegrityError
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from access.permissions import USER_ID, resolve_path_user_id
from access.selectors import consent_by_user_id
from common.http.query_parameters import ApiView, parse_parameters
from common.http.references import PATH_SCHEMA
from interactions.models import ExclusionKind, SliderKind
from interactions.taste.profile import load_taste_profile
from interactions.taste.proposals import load_proposals
from interactions.taste.selectors import load_exclusions
from interactions.taste.serializers import (
    ExclusionsRequestSerializer,
    ExclusionsSerializer,
    ProposalsSerializer,
    SliderRequestSerializer,
    TasteParameters,
    TasteSerializer,
)
from interactions.taste.services import (
    MAX_EXCLUSIONS,
    MAX_SLIDERS,
    ExclusionTarget,
    TooManyExclusions,
    TooManySliders,
    add_exclusions,
    decline_proposal,
    remove_exclusion,
    set_slider,
)
from tracks.models import Artist, Tag, Track
from tracks.path_ids import resolve_path_id, resolve_path_tag_id
from tracks.selectors import find_ids

SLIDER_KIND = OpenApiParameter("kind", str, "path", enum=SliderKind.values)
TARGET_ID = OpenApiParameter(
    "target_id",
    PATH_SCHEMA,
    "path",
    description="The id of the artist or tag; an artist has an external id, too. A tag's is its `tag_id`.",
)
PROPOSAL_ID = OpenApiParameter("proposal_id", str, "path", description="The id of a proposal.")
EXCLUSION_ID = OpenApiParameter("exclusion_id", int, "path", description="The id of an exclusion.")


class ExclusionLimit(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = f"a listener has at most {MAX_EXCLUSIONS} exclusions; remove some, or exclude a period instead"


class SliderLimit(APIException):
    status_code = status.HTTP_409_CONFLICT
    default_detail = f"a listener has at most {MAX_SLIDERS} sliders; remove some first"


class TasteView(ApiView):
    """Base class of what a listener may see and change of their taste profile."""

    schema_tag = "Listeners"
    required_scope = Scope.EVENTS

    def resolve_listener(self, request: Request, user_id: str) -> int:
        """Return the id of the listener in the path.

        Raises:
            Http404: there is no such listener, or a listener names somebody else.
        """
        listener_id = resolve_path_user_id(request, user_id)
        if listener_id not in consent_by_user_id([listener_id]):
            raise Http404("no such listener")
        return listener_id


class TasteProfileView(TasteView):
    query_parameters: ClassVar = {"get": TasteParameters}

    @extend_schema(operation_id="read_taste", parameters=[USER_ID], responses=TasteSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """Show what a listener's recommendations rest on: artists, tags, eras and hours with their plays."""
        listener_id = self.resolve_listener(request, user_id)
        limit = parse_parameters(TasteParameters, request.META.get("QUERY_STRING", ""))["limit"]
        return Response(TasteSerializer(load_taste_profile(listener_id, limit)).data)


class ExclusionsView(TasteView):
    @extend_schema(operation_id="list_exclusions", parameters=[USER_ID], responses=ExclusionsSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """List what recommenders do not learn from: tracks, playlists, sessions and periods."""
        listener_id = self.resolve_listener(request, user_id)
        return Response(ExclusionsSerializer({"exclusions": load_exclusions(listener_id)}).data)

    @extend_schema(
        operation_id="add_exclusions",
        parameters=[USER_ID],
        request=ExclusionsRequestSerializer,
        responses={201: ExclusionsSerializer},
    )
    def post(self, request: Request, user_id: str) -> Response:
        """Let recommenders learn nothing from what the listener did with a track, in a playlist, session or period.

        It applies to the past and to the future, from the next answer on. Repeating it changes nothing.
        """
        listener_id = self.resolve_listener(request, user_id)
        serializer = ExclusionsRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            exclusions = add_exclusions(listener_id, _parse_targets(serializer.validated_data["exclusions"]))
        except TooManyExclusions as error:
            raise ExclusionLimit from error
        except IntegrityError as error:
            raise Http404("the listener or a track has just been deleted; list the exclusions and ask again") from error
        return Response(ExclusionsSerializer({"exclusions": exclusions}).data, status.HTTP_201_CREATED)


class ExclusionView(TasteView):
    @extend_schema(operation_id="remove_exclusion", parameters=[USER_ID, EXCLUSION_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, exclusion_id: int) -> Response:
        """Undo an exclusion: what it covered counts again. Repeating it changes nothing."""
        remove_exclusion(self.resolve_listener(request, user_id), exclusion_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ProposalsView(TasteView):
    @extend_schema(operation_id="list_proposals", parameters=[USER_ID], responses=ProposalsSerializer)
    def get(self, request: Request, user_id: str) -> Response:
        """Propose what the listener may want to leave out, such as lullabies around 22:00; the listener decides."""
        listener_id = self.resolve_listener(request, user_id)
        return Response(ProposalsSerializer({"proposals": load_proposals(listener_id)}).data)


class ProposalView(TasteView):
    @extend_schema(operation_id="delete_proposal", parameters=[USER_ID, PROPOSAL_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, proposal_id: str) -> Response:
        """Decline a proposal: it is not made again. Repeating it changes nothing."""
        decline_proposal(self.resolve_listener(request, user_id), proposal_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class SliderView(TasteView):
    @extend_schema(
        operation_id="set_slider",
        parameters=[USER_ID, SLIDER_KIND, TARGET_ID],
        request=SliderRequestSerializer,
        responses={204: None},
    )
    def put(self, request: Request, user_id: str, kind: str, target_id: str) -> Response:
        """Let an artist or a tag count more or less in the listener's recommendations. Repeating it changes nothing."""
        listener_id = self.resolve_listener(request, user_id)
        serializer = SliderRequestSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        target = _resolve_slider_target(kind, target_id)
        if not (Artist if kind == SliderKind.ARTIST else Tag).objects.filter(pk=target).exists():
            raise Http404(f"no such {kind}")
        try:
            set_slider(listener_id, SliderKind(kind), target, serializer.validated_data["value"])
        except TooManySliders as error:
            raise SliderLimit from error
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(operation_id="remove_slider", parameters=[USER_ID, SLIDER_KIND, TARGET_ID], responses={204: None})
    def delete(self, request: Request, user_id: str, kind: str, target_id: str) -> Response:
        """Remove a slider. Repeating it changes nothing."""
        listener_id = self.resolve_listener(request, user_id)
        set_slider(listener_id, SliderKind(kind), _resolve_slider_target(kind, target_id), 0.0)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _resolve_slider_target(kind: str, target_id: str) -> int:
    """Return the id of the artist or tag in the path.

    Raises:
        Http404: no artist or tag can have this id.
        ValidationError: the path is not a reference, or gives a tag an external id, which tags do not have.
    """
    if kind == SliderKind.ARTIST:
        return resolve_path_id(Artist, "target_id", target_id)
    return resolve_path_tag_id("target_id", target_id)


def _parse_targets(items: list[dict[str, Any]]) -> list[ExclusionTarget]:
    """Return what the items of a body name, with the ids of their tracks.

    Raises:
        ValidationError: there is no such track.
    """
    references = {item["track_id"] for item in items if "track_id" in item}
    ids = find_ids(Track, references)
    existing = set(Track.objects.filter(pk__in=ids.values()).values_list("pk", flat=True))
    if unknown := [reference for reference in references if ids.get(reference) not in existing]:
        raise ValidationError({"exclusions": f"there is no track {unknown[0]} in the catalogue"})
    return [
        ExclusionTarget(
            ExclusionKind(item["kind"]),
            ids[item["track_id"]] if "track_id" in item else None,
            item.get("context", item.get("session_id", "")),
            item.get("since"),
            item.get("until"),
        )
        for item in items
    ]
