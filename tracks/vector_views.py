"""PUT, GET and DELETE of the vectors of tracks."""

import re
from typing import Any

import numpy as np
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from numpy.typing import NDArray
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from common.http.body_serializers import StrictSerializer
from common.http.json import ListBodyParser
from common.http.query_parameters import ApiView
from common.http.upserts import MAX_ITEMS, ExternalIdField, UpsertSerializer, upsert_items
from tracks.models import Track
from tracks.path_ids import TRACK_ID, resolve_path_track_id
from tracks.upsert_serializers import TracksAnswerSerializer
from tracks.vectors import delete_vector, find_vector, upsert_vectors

MAX_DIMENSION = 4096
MAX_BODY_BYTES = 64 * 1024 * 1024  # of a thousand vectors of 4,096 numbers with all their digits
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
NAME = OpenApiParameter(
    "name", {"type": "string", "pattern": NAME_PATTERN}, "path", description="What computed the vector, as `clap-v2`."
)


@extend_schema_field(
    {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": MAX_DIMENSION, "example": [0.12, -0.5]}
)
class VectorField(serializers.Field[Any, Any, Any, Any]):
    """A list of finite numbers that are not all 0; the value is float32 (d,)."""

    def to_internal_value(self, data: Any) -> NDArray[np.float32]:
        if not isinstance(data, list) or not 1 <= len(data) <= MAX_DIMENSION:
            raise ValidationError(f"must be a list of 1 to {MAX_DIMENSION} numbers")
        if not all(type(number) in (int, float) for number in data):
            raise ValidationError("must contain numbers only")
        with np.errstate(over="ignore"):
            vector = np.array(data, np.float64).astype(np.float32)
        if not np.isfinite(vector).all():
            raise ValidationError("contains a number that is not finite as a 32-bit float")
        if not vector.any():
            raise ValidationError("consists of zeros, so that it has no direction; leave the track out")
        return vector


class VectorUpsertSerializer(UpsertSerializer):
    vector = VectorField()


class VectorItemSerializer(VectorUpsertSerializer):
    external_id = ExternalIdField(help_text="The app's own id of the track.")


class VectorsUpsertSerializer(StrictSerializer):
    vectors = serializers.ListField(child=VectorItemSerializer(), min_length=1, max_length=MAX_ITEMS)


class TrackVectorSerializer(serializers.Serializer[Any]):
    track_id = serializers.IntegerField()
    name = serializers.CharField()
    dimension = serializers.IntegerField()
    updated_at = serializers.DateTimeField()
    vector = serializers.ListField(child=serializers.FloatField())


class VectorsView(ApiView):
    schema_tag = "Catalogue"
    required_scope = Scope.CATALOGUE
    write_scope = Scope.CATALOGUE
    parser_classes = [ListBodyParser]

    @staticmethod
    def body_limit() -> int:
        return MAX_BODY_BYTES

    @extend_schema(
        operation_id="upsert_vectors",
        parameters=[NAME],
        request=VectorsUpsertSerializer,
        responses=TracksAnswerSerializer,
    )
    def put(self, request: Request, name: str) -> Response:
        """Store the vectors of up to 1,000 tracks. Invalid items are listed under `rejected`; the others are stored."""
        _check_name(name)
        serializer = VectorItemSerializer()
        return Response(
            upsert_items(request.data, "vectors", "track_id", serializer, lambda items: upsert_vectors(name, items))
        )


class TrackVectorView(ApiView):
    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    write_scope = Scope.CATALOGUE
    service_only = True

    @extend_schema(operation_id="read_vector", parameters=[TRACK_ID, NAME], responses=TrackVectorSerializer)
    def get(self, request: Request, track_id: str, name: str) -> Response:
        """Read a vector of a track."""
        _check_name(name)
        vector = find_vector(_find_track(track_id), name)
        if vector is None:
            raise Http404("the track has no vector of this name")
        return Response(vector)

    @extend_schema(
        operation_id="upsert_vector",
        parameters=[TRACK_ID, NAME],
        request=VectorUpsertSerializer,
        responses={200: TrackVectorSerializer, 201: TrackVectorSerializer},
    )
    def put(self, request: Request, track_id: str, name: str) -> Response:
        """Store a vector of a track. All vectors of one name have the same dimension."""
        _check_name(name)
        pk = _find_track(track_id)
        serializer = VectorUpsertSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        [outcome] = upsert_vectors(name, [{"id": pk, **serializer.validated_data}])
        if outcome.status == "rejected":
            raise ValidationError(outcome.errors)
        return Response(find_vector(pk, name), 201 if outcome.status == "created" else 200)

    @extend_schema(operation_id="delete_vector", parameters=[TRACK_ID, NAME], responses={204: None})
    def delete(self, request: Request, track_id: str, name: str) -> Response:
        """Delete a vector of a track, if there is one."""
        _check_name(name)
        delete_vector(_find_track(track_id), name)
        return Response(status=204)


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise ValidationError({"{name}": "must be 1 to 64 small letters, digits, '.', '_' or '-'"})


def _find_track(segment: str) -> int:
    track_id = resolve_path_track_id(segment)
    if not Track.objects.filter(pk=track_id).exists():
        raise Http404("no such track")
    return track_id
