from typing import Any

from django.db.models import Q
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.viewsets import ViewSet

from access.models import Scope
from common.http.cursor_pages import build_page, decode_cursor, invalid_cursor
from common.http.query_parameters import ApiView, parse_parameters
from tracks.audience import available_to
from tracks.models import Album, Artist, Track
from tracks.search.selectors import SearchHit, search_catalogue
from tracks.search.serializers import (
    AlbumListSerializer,
    ArtistListSerializer,
    SearchBoxParameters,
    SearchBoxSerializer,
    SearchParameters,
    TrackListSerializer,
    TrackSearchParameters,
)
from tracks.selectors import album_cards, artist_cards, track_cards

CARDS: dict[type[Track | Album | Artist], Any] = {Track: track_cards, Album: album_cards, Artist: artist_cards}


class SearchViewSet(ApiView, ViewSet):
    """Search the catalogue."""

    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    query_parameters = {
        "search": SearchBoxParameters,
        "search_tracks": TrackSearchParameters,
        "search_artists": SearchParameters,
        "search_albums": SearchParameters,
    }

    @extend_schema(operation_id="search_catalogue", responses=SearchBoxSerializer)
    def search(self, request: Request) -> Response:
        """Search for tracks, artists and albums at once, as a search box does."""
        options = _parse(request, SearchBoxParameters)
        query, limit = options["q"], options["limit"]
        available = available_to(request, options["market"], options["explicit"])
        return Response(
            {
                "tracks": _cards(Track, search_catalogue(Track, query, available)[:limit]),
                "artists": _cards(Artist, search_catalogue(Artist, query, Q())[:limit]),
                "albums": _cards(Album, search_catalogue(Album, query, Q())[:limit]),
            }
        )

    @extend_schema(operation_id="search_tracks", responses=TrackListSerializer)
    def search_tracks(self, request: Request) -> Response:
        """Search for tracks by title and artist."""
        options = _parse(request, TrackSearchParameters)
        return _page(request, Track, options, available_to(request, options["market"], options["explicit"]))

    @extend_schema(operation_id="search_artists", responses=ArtistListSerializer)
    def search_artists(self, request: Request) -> Response:
        """Search for artists by name."""
        return _page(request, Artist, _parse(request, SearchParameters), Q())

    @extend_schema(operation_id="search_albums", responses=AlbumListSerializer)
    def search_albums(self, request: Request) -> Response:
        """Search for albums by title and artist."""
        return _page(request, Album, _parse(request, SearchParameters), Q())


def _parse(request: Request, parameters: type[Serializer[Any]]) -> dict[str, Any]:
    return parse_parameters(parameters, request.META.get("QUERY_STRING", ""))


def _page(request: Request, model: type[Track | Album | Artist], options: dict[str, Any], only: Q) -> Response:
    hits = search_catalogue(model, options["q"], only)
    if cursor := options.get("cursor"):
        last = _hit_at(cursor)
        hits = [hit for hit in hits if hit > last]
    page = hits[: options["limit"]]
    position = list(page[-1]) if len(hits) > len(page) else None
    return Response(build_page(request, _cards(model, page), position))


def _hit_at(cursor: str) -> SearchHit:
    is_corrected, distance, pk = decode_cursor(cursor, 3)
    if not isinstance(is_corrected, bool) or not isinstance(distance, int | float) or not isinstance(pk, int):
        raise invalid_cursor()
    return SearchHit(is_corrected, distance, pk)


def _cards(model: type[Track | Album | Artist], hits: list[SearchHit]) -> list[dict[str, Any]]:
    """Return the cards of the hits, without objects that have just been deleted."""
    cards = CARDS[model]([hit.pk for hit in hits])
    return [cards[hit.pk] for hit in hits if hit.pk in cards]
