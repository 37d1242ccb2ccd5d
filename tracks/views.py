from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from access.models import Scope
from access.serializers import ExternalIdParameter
from common.http.query_parameters import ApiView
from engine.data.id_map import INT64_MAX
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
        return self.retrieve(request, find_track_id(ExternalIdParameter.read(request)) or 0)

    @extend_schema(operation_id="read_track", responses=TrackPageSerializer)
    def retrieve(self, request: Request, track_id: int) -> Response:
        """Read all details of a track."""
        details = track_details(track_id) if track_id <= INT64_MAX else None
        if details is None:
            raise Http404("no such track")
        return Response(details)
