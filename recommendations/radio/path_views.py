"""A path between two tracks over HTTP."""

from typing import ClassVar

import orjson
from django.http import Http404, HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from access.authentication import SCHEMES
from access.models import Scope
from common.http.query_parameters import parse_parameters
from recommendations.api.authentication import QueryListenerView
from recommendations.radio.serializers import PathParameters, PathSerializer
from recommendations.serving.paths import find_card_path
from recommendations.serving.slate import UnknownTrack
from tracks.models import Track
from tracks.selectors import find_ids


@extend_schema(auth=SCHEMES)
class TrackPathView(QueryListenerView):
    schema_tag = "Recommendations"
    required_scope = Scope.RECOMMEND
    query_parameters: ClassVar = {"get": PathParameters}

    @extend_schema(operation_id="find_track_path", responses=PathSerializer)
    def get(self, request: Request) -> HttpResponse:
        """Find a path from one track to another, on which each track is similar to the next."""
        parameters = parse_parameters(PathParameters, request.META.get("QUERY_STRING", ""))
        self.resolve_listener(request, parameters.get("user_id"))
        ids = find_ids(Track, [parameters["from"], parameters["to"]])
        if unknown := [parameters[name] for name in ("from", "to") if parameters[name] not in ids]:
            raise _no_such_track(unknown[0])
        start, end = ids[parameters["from"]], ids[parameters["to"]]
        if start == end:
            raise ValidationError({"?to": "is the same track as from; name two different ones"})
        try:
            path = find_card_path(
                start, end, parameters["length"], self.context, parameters["market"], parameters["explicit"]
            )
        except UnknownTrack as error:
            raise _no_such_track(error) from error
        distances: list[float | None] = [None] * len(path.cards)
        if path.distances is not None:
            distances[1:] = [round(distance, 6) for distance in path.distances]
        results = b",".join(
            card.json + b',"position":%d,"distance":%s}' % (position, orjson.dumps(distance))
            for position, (card, distance) in enumerate(zip(path.cards.values(), distances, strict=True), 1)
        )
        total = None if path.distances is None else round(sum(path.distances), 6)
        head = orjson.dumps({"model_version": path.model.bundle.version, "total_distance": total})
        return HttpResponse(head[:-1] + b',"results":[' + results + b"]}", content_type="application/json")


def _no_such_track(reference: object) -> Http404:
    return Http404(f"there is no track {reference} in the catalogue; GET /search/tracks finds tracks by their names")
