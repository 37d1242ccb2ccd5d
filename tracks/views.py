from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access.models import Scope
from access.serializers import ExternalIdParameter
from common.http.query_parameters import ApiView
from common.http.references import ExternalId
from tracks.path_ids import TRACK_ID, resolve_path_track_id
from tracks.selectors import find_track_id, track_details
from tracks.serializers import TrackPageSerializer


class TrackViewSet(ApiView, ViewSet):
    """Read the catalogue, one track at a time."""

    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    query_parameters = {"find": ExternalIdParameter}

    @extend_schema(operation_id="find_track", responses=TrackPageSerializer)
    def find(self, request: Request) -> Response:
        """Find a track by its id in the service it was imported from."""
        return _render(find_track_id(ExternalId(ExternalIdParameter.read(request))))

    @extend_schema(operation_id="read_track", parameters=[TRACK_ID], responses=TrackPageSerializer)
    def retrieve(self, request: Request, track_id: str) -> Response:
        """Read all details of a track."""
        return _render(resolve_path_track_id(track_id))


def _render(track_id: int | None) -> Response:
    details = None if track_id is None else track_details(track_id)
    if details is None:
        raise Http404("no such track")
    return Response(details)
