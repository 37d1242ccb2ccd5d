from typing import Any

from django.db.models import F, Q
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from common.http.cursor_pages import PageParameters, build_page, decode_cursor, decode_moment, invalid_cursor
from common.http.query_parameters import ApiView, parse_parameters
from engine.data.id_map import INT64_MAX
from tracks.audience import available_to
from tracks.models import Album, Artist, Track
from tracks.pages.selectors import (
    Release,
    artist_albums,
    is_in_catalogue,
    new_releases,
    release_cards,
)
from tracks.pages.serializers import NewReleasesSerializer, RecentTracksParameters, TrackListParameters
from tracks.path_ids import ALBUM_ID, ARTIST_ID, resolve_path_id
from tracks.search.serializers import AlbumListSerializer, TrackListSerializer
from tracks.selectors import album_cards, track_cards


class ArtistTracksView(ApiView):
    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    query_parameters = {"get": TrackListParameters}

    @extend_schema(operation_id="list_artist_tracks", parameters=[ARTIST_ID], responses=TrackListSerializer)
    def get(self, request: Request, artist_id: str) -> Response:
        """List the tracks of an artist, in the order in which they were added."""
        return _list_tracks(request, Q(artist=_find(Artist, "artist_id", artist_id)))


class ArtistAlbumsView(ApiView):
    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    query_parameters = {"get": PageParameters}

    @extend_schema(operation_id="list_artist_albums", parameters=[ARTIST_ID], responses=AlbumListSerializer)
    def get(self, request: Request, artist_id: str) -> Response:
        """List the albums of an artist, the newest first."""
        options = _parse(request, PageParameters)
        albums = artist_albums(_find(Artist, "artist_id", artist_id))
        if cursor := options.get("cursor"):
            year, pk = _integers(decode_cursor(cursor, 2))
            albums = [(album, of_year) for album, of_year in albums if (of_year, album) < (year, pk)]
        page = albums[: options["limit"]]
        cards = album_cards([album for album, _ in page])
        results = [cards[album] for album, _ in page if album in cards]
        return Response(build_page(request, results, page[-1][::-1] if len(albums) > len(page) else None))


class AlbumTracksView(ApiView):
    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    query_parameters = {"get": TrackListParameters}

    @extend_schema(operation_id="list_album_tracks", parameters=[ALBUM_ID], responses=TrackListSerializer)
    def get(self, request: Request, album_id: str) -> Response:
        """List the tracks of an album, in the order in which they were added."""
        return _list_tracks(request, Q(album=_find(Album, "album_id", album_id)))


class NewReleasesView(ApiView):
    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    query_parameters = {"get": RecentTracksParameters}

    @extend_schema(operation_id="list_new_releases", responses=NewReleasesSerializer)
    def get(self, request: Request) -> Response:
        """List new tracks, the newest first."""
        options = _parse(request, RecentTracksParameters)
        only = available_to(request, options["market"], options["explicit"])
        if "genre" in options:
            only &= Q(tags=options["genre"])
        last = Release(*decode_moment(options["cursor"])) if "cursor" in options else None
        limit = options["limit"]
        releases = new_releases(only, options["window"], last, limit + 1)
        page = releases[:limit]
        cards = release_cards([release.pk for release in page])
        results = [cards[release.pk] for release in page if release.pk in cards]
        position = (page[-1].moment.isoformat(), page[-1].pk) if len(releases) > limit else None
        return Response(build_page(request, results, position))


def _parse(request: Request, parameters: Any) -> dict[str, Any]:
    return parse_parameters(parameters, request.META.get("QUERY_STRING", ""))


def _find(model: type[Artist | Album], name: str, segment: str) -> int:
    pk = resolve_path_id(model, name, segment)
    if not is_in_catalogue(model, pk):
        raise Http404(f"no such {model._meta.model_name}")
    return pk


def _list_tracks(request: Request, only: Q) -> Response:
    options = _parse(request, TrackListParameters)
    # Ordered by an expression, so that PostgreSQL sorts the tracks that the index of `only` finds. To save the sort, it
    # would otherwise read the whole catalogue in the order of ids until it has found enough tracks.
    tracks = Track.objects.filter(only, available_to(request, options["market"], options["explicit"]))
    tracks = tracks.order_by(F("pk") + 0)
    if cursor := options.get("cursor"):
        tracks = tracks.filter(pk__gt=_integers(decode_cursor(cursor, 1))[0])
    ids = list(tracks.values_list("pk", flat=True)[: options["limit"] + 1])
    page = ids[: options["limit"]]
    cards = track_cards(page)
    results = [cards[track_id] for track_id in page if track_id in cards]
    return Response(build_page(request, results, page[-1:] if len(ids) > len(page) else None))


def _integers(position: list[Any]) -> list[int]:
    if not all(type(value) is int and abs(value) <= INT64_MAX for value in position):
        raise invalid_cursor()
    return position
