from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db.models import Q
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from access.serializers import ExternalIdParameter
from common.http.json import ListBodyParser
from common.http.query_parameters import ApiView, parse_parameters
from common.http.references import PREFIX, ExternalId
from common.http.upserts import UpsertOutcome, UpsertSerializer, upsert_items
from tracks.audience import available_to
from tracks.models import Album, Artist, Track
from tracks.pages.selectors import album_page, artist_page
from tracks.pages.serializers import AlbumPageSerializer, ArtistPageSerializer, CataloguePageParameters
from tracks.path_ids import ALBUM_ID, ARTIST_ID, TRACK_ID, parse_path_id, resolve_path_id, resolve_path_track_id
from tracks.selectors import album_cards, artist_cards, find_track_id, track_details
from tracks.serializers import AlbumCardSerializer, ArtistCardSerializer, TrackPageSerializer
from tracks.services import take_down
from tracks.upsert_serializers import (
    AlbumItemSerializer,
    AlbumsAnswerSerializer,
    AlbumsUpsertSerializer,
    AlbumUpsertSerializer,
    ArtistItemSerializer,
    ArtistsAnswerSerializer,
    ArtistsUpsertSerializer,
    ArtistUpsertSerializer,
    TrackItemSerializer,
    TracksAnswerSerializer,
    TracksUpsertSerializer,
    TrackUpsertSerializer,
)
from tracks.upserts import UnknownId, upsert_albums, upsert_artists, upsert_tracks


class CatalogueView(ApiView):
    """A view that reads the catalogue and writes it."""

    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    write_scope = Scope.CATALOGUE


class TracksView(CatalogueView):
    parser_classes = [ListBodyParser]
    query_parameters = {"get": ExternalIdParameter}

    @extend_schema(operation_id="find_track", responses=TrackPageSerializer)
    def get(self, request: Request) -> Response:
        """Find a track by its external id."""
        return _render_track(find_track_id(ExternalIdParameter.read(request)))

    @extend_schema(operation_id="upsert_tracks", request=TracksUpsertSerializer, responses=TracksAnswerSerializer)
    def put(self, request: Request) -> Response:
        """Create or update up to 1,000 tracks. Invalid items are listed under `rejected`; the others are stored."""
        return Response(upsert_items(request.data, "tracks", "track_id", TrackItemSerializer(), upsert_tracks))


class TrackView(CatalogueView):
    @extend_schema(operation_id="read_track", parameters=[TRACK_ID], responses=TrackPageSerializer)
    def get(self, request: Request, track_id: str) -> Response:
        """Read all details of a track."""
        return _render_track(resolve_path_track_id(track_id))

    @extend_schema(
        operation_id="upsert_track",
        parameters=[TRACK_ID],
        request=TrackUpsertSerializer,
        responses={200: TrackPageSerializer, 201: TrackPageSerializer},
    )
    def put(self, request: Request, track_id: str) -> Response:
        """Create or update a track. Its artist, album and tags are added if they are new."""
        pk, status = _upsert(request, "track_id", track_id, TrackUpsertSerializer, upsert_tracks)
        return Response(track_details(pk), status)

    @extend_schema(operation_id="take_down_track", parameters=[TRACK_ID], responses={204: None})
    def delete(self, request: Request, track_id: str) -> Response:
        """Take a track down: from the next request on, it is recommended to nobody. Its plays are kept."""
        return _take_down(Track, "track_id", track_id)


class ArtistsView(CatalogueView):
    parser_classes = [ListBodyParser]

    @extend_schema(operation_id="upsert_artists", request=ArtistsUpsertSerializer, responses=ArtistsAnswerSerializer)
    def put(self, request: Request) -> Response:
        """Create or update up to 1,000 artists. Invalid items are listed under `rejected`; the others are stored."""
        return Response(upsert_items(request.data, "artists", "artist_id", ArtistItemSerializer(), upsert_artists))


class ArtistView(CatalogueView):
    query_parameters = {"get": CataloguePageParameters}

    @extend_schema(operation_id="read_artist", parameters=[ARTIST_ID], responses=ArtistPageSerializer)
    def get(self, request: Request, artist_id: str) -> Response:
        """Read what an artist's page shows."""
        page = artist_page(resolve_path_id(Artist, "artist_id", artist_id), _available(request))
        if page is None:
            raise Http404("no such artist")
        return Response(page)

    @extend_schema(
        operation_id="upsert_artist",
        parameters=[ARTIST_ID],
        request=ArtistUpsertSerializer,
        responses={200: ArtistCardSerializer, 201: ArtistCardSerializer},
    )
    def put(self, request: Request, artist_id: str) -> Response:
        """Create or update an artist."""
        pk, status = _upsert(request, "artist_id", artist_id, ArtistUpsertSerializer, upsert_artists)
        return Response(artist_cards([pk])[pk], status)

    @extend_schema(operation_id="take_down_artist", parameters=[ARTIST_ID], responses={204: None})
    def delete(self, request: Request, artist_id: str) -> Response:
        """Take all tracks of an artist down. Tracks that are added later are not affected."""
        return _take_down(Artist, "artist_id", artist_id)


class AlbumsView(CatalogueView):
    parser_classes = [ListBodyParser]

    @extend_schema(operation_id="upsert_albums", request=AlbumsUpsertSerializer, responses=AlbumsAnswerSerializer)
    def put(self, request: Request) -> Response:
        """Create or update up to 1,000 albums. Invalid items are listed under `rejected`; the others are stored."""
        return Response(upsert_items(request.data, "albums", "album_id", AlbumItemSerializer(), upsert_albums))


class AlbumView(CatalogueView):
    query_parameters = {"get": CataloguePageParameters}

    @extend_schema(operation_id="read_album", parameters=[ALBUM_ID], responses=AlbumPageSerializer)
    def get(self, request: Request, album_id: str) -> Response:
        """Read what an album's page shows."""
        page = album_page(resolve_path_id(Album, "album_id", album_id), _available(request))
        if page is None:
            raise Http404("no such album")
        return Response(page)

    @extend_schema(
        operation_id="upsert_album",
        parameters=[ALBUM_ID],
        request=AlbumUpsertSerializer,
        responses={200: AlbumCardSerializer, 201: AlbumCardSerializer},
    )
    def put(self, request: Request, album_id: str) -> Response:
        """Create or update an album. Its artist is added if they are new."""
        pk, status = _upsert(request, "album_id", album_id, AlbumUpsertSerializer, upsert_albums)
        return Response(album_cards([pk])[pk], status)

    @extend_schema(operation_id="take_down_album", parameters=[ALBUM_ID], responses={204: None})
    def delete(self, request: Request, album_id: str) -> Response:
        """Take all tracks of an album down. Tracks that are added later are not affected."""
        return _take_down(Album, "album_id", album_id)


def _available(request: Request) -> Q:
    options = parse_parameters(CataloguePageParameters, request.META.get("QUERY_STRING", ""))
    return available_to(request, options["market"], options["explicit"])


def _render_track(track_id: int | None) -> Response:
    details = None if track_id is None else track_details(track_id)
    if details is None:
        raise Http404("no such track")
    return Response(details)


def _upsert(
    request: Request,
    name: str,
    segment: str,
    serializer_class: type[UpsertSerializer],
    write: Callable[[Sequence[Mapping[str, Any]]], list[UpsertOutcome]],
) -> tuple[int, int]:
    """Write the object that a segment of the path names, and return its id and the status of the response.

    Raises:
        Http404: the segment is an integer that is the id of no object.
        ValidationError: the segment or the body is invalid.
    """
    reference = parse_path_id(name, segment)
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    key = {"external_id": reference.text} if isinstance(reference, ExternalId) else {"id": reference}
    try:
        [outcome] = write([serializer.validated_data | key])
    except UnknownId as error:
        advice = f"an id of your own is written {PREFIX}{segment[:40]}, and creates what does not exist"
        raise Http404(f"nothing has the {name} {segment[:40]}; {advice}") from error
    if outcome.pk is None:
        raise ValidationError(outcome.errors)
    return outcome.pk, 201 if outcome.status == "created" else 200


def _take_down(model: type[Track | Artist | Album], name: str, segment: str) -> Response:
    row = model._default_manager.filter(pk=resolve_path_id(model, name, segment)).first()
    if row is None:
        raise Http404(f"no such {model._meta.model_name}")
    take_down(row)
    return Response(status=204)
