"""The endpoints of AudioMuse-AI that players call, with its parameters, answers and errors."""

from collections.abc import Collection
from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ParseError
from rest_framework.request import Request
from rest_framework.response import Response

from access.authentication import SCHEMES
from access.models import Scope
from recommendations.api.authentication import BaseContextView, ContextKeyAuthentication, ContextTokenAuthentication
from recommendations.audiomuse.authentication import BearerKeyAuthentication
from recommendations.audiomuse.item_ids import (
    find_artist_id,
    find_track_id,
    find_track_id_by_names,
    format_item_id,
)
from recommendations.audiomuse.serializers import (
    AudioMuseErrorSerializer,
    SimilarArtistSerializer,
    SimilarSongSerializer,
    SongPathSerializer,
)
from recommendations.audiomuse.song_paths import find_song_path
from recommendations.discovery.similarity import Neighbour, find_similar_artists, find_similar_tracks
from recommendations.serving.slate import UnknownTrack
from tracks.selectors import album_titles

DEFAULT_COUNT, MAX_COUNT = 10, 500
DEFAULT_STEPS, MAX_STEPS = 25, 100
_ERRORS = dict.fromkeys((400, 401, 403, 404, 429, 503), AudioMuseErrorSerializer)


@extend_schema(auth=SCHEMES)
class AudioMuseView(BaseContextView):
    """Base class whose errors are `{"error"}`, as clients of AudioMuse-AI expect.

    Unknown parameters are ignored and numbers out of range are moved into it, because the protocol is not ours.
    """

    authentication_classes = [BearerKeyAuthentication, ContextKeyAuthentication, ContextTokenAuthentication]
    required_scope = Scope.RECOMMEND
    schema_tag = "Recommendations"

    def requested_listener(self, request: Request) -> int | None:
        return None

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(
            Http404("the catalogue has no such track") if isinstance(exc, UnknownTrack) else exc
        )

    def get_exception_handler(self) -> Any:
        default_handler = super().get_exception_handler()

        def handler(error: Exception, context: dict[str, Any]) -> Response | None:
            response: Response | None = default_handler(error, context)
            if response is not None:
                response.data = {"error": response.data["detail"]}
                response.content_type = "application/json"
            return response

        return handler


class SimilarTracksView(AudioMuseView):
    @extend_schema(
        operation_id="find_similar_tracks",
        parameters=[
            OpenApiParameter("item_id", str, description="The id by which the player knows the track."),
            OpenApiParameter("title", str, description="With `artist`, in place of `item_id`."),
            OpenApiParameter("artist", str),
            OpenApiParameter("n", int, description="1 to 500, 10 if it is absent."),
            OpenApiParameter(
                "eliminate_duplicates", bool, description="At most three tracks of an artist; `true` if it is absent."
            ),
        ],
        responses={200: SimilarSongSerializer(many=True), **_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List the tracks that are similar to a track, the nearest first."""
        parameters = request.query_params
        item_id, title, artist = (parameters.get(name, "") for name in ("item_id", "title", "artist"))
        if item_id:
            track_id = find_track_id(item_id)
        elif title and artist:
            track_id = find_track_id_by_names(artist, title)
        else:
            raise ParseError("item_id, or title and artist, is required")
        if track_id is None:
            raise Http404("the catalogue has no such track")
        without_duplicates = parameters.get("eliminate_duplicates", "true").lower() == "true"
        count = _parse_count(request, "n", DEFAULT_COUNT, 1, MAX_COUNT)
        neighbours = find_similar_tracks(track_id, count, self.context, without_duplicates)
        if not neighbours:
            raise Http404("there is no track similar to this one")
        distances = [{"distance": round(neighbour.distance, 6)} for neighbour in neighbours]
        songs = zip(_render_songs(neighbours), distances, strict=True)
        return Response([song | distance for song, distance in songs])


class SimilarArtistsView(AudioMuseView):
    @extend_schema(
        operation_id="find_similar_artists",
        parameters=[
            OpenApiParameter("artist", str, description="The id by which the player knows the artist, or the name."),
            OpenApiParameter("artist_id", str, description="The same, if `artist` is absent."),
            OpenApiParameter("n", int, description="1 to 500, 10 if it is absent."),
            OpenApiParameter("include_component_matches", bool, description="Add songs of both artists."),
        ],
        responses={200: SimilarArtistSerializer(many=True), **_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """List the artists whose tracks are similar to those of an artist, the nearest first."""
        parameters = request.query_params
        identifier = parameters.get("artist") or parameters.get("artist_id")
        if not identifier:
            raise ParseError("artist or artist_id is required")
        artist_id = find_artist_id(identifier)
        if artist_id is None:
            raise Http404("the catalogue has no such artist")
        count = _parse_count(request, "n", DEFAULT_COUNT, 1, MAX_COUNT)
        artists = find_similar_artists(artist_id, count, self.context)
        if not artists:
            raise Http404("there is no artist similar to this one")
        rows: list[dict[str, Any]] = [
            {
                "artist": artist.name,
                "artist_id": format_item_id(artist.external_id, artist.artist_id),
                "divergence": round(artist.distance, 6),
            }
            for artist in artists
        ]
        if parameters.get("include_component_matches", "").lower() == "true":
            for row, artist in zip(rows, artists, strict=True):
                match = {"component1_index": 0, "component2_index": 0, "distance": row["divergence"]}
                songs = {
                    "artist1_representative_songs": _render_titles(artist.songs_of_other),
                    "artist2_representative_songs": _render_titles(artist.songs),
                }
                row["component_matches"] = [match | songs]
        return Response(rows)


class FindPathView(AudioMuseView):
    @extend_schema(
        operation_id="find_path",
        parameters=[
            OpenApiParameter("start_song_id", str, required=True),
            OpenApiParameter("end_song_id", str, required=True),
            OpenApiParameter("max_steps", int, description="Tracks of the path, with both ends: 2 to 100, or 25."),
        ],
        responses={200: SongPathSerializer, **_ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Find tracks that lead from one track to another by small steps."""
        ids = {name: request.query_params.get(name, "") for name in ("start_song_id", "end_song_id")}
        if missing := [name for name, item_id in ids.items() if not item_id]:
            raise ParseError(f"{missing[0]} is required; moods and anchors are not supported")
        start, end = (find_track_id(item_id) for item_id in ids.values())
        if start is None or end is None:
            raise Http404(f"{'end' if end is None and start else 'start'}_song_id: the catalogue has no such track")
        if start == end:
            raise ParseError("start_song_id and end_song_id are the same track")
        steps = _parse_count(request, "max_steps", DEFAULT_STEPS, 2, MAX_STEPS)
        path = find_song_path(start, end, steps, self.context)
        return Response({"path": _render_songs(path.tracks), "total_distance": round(path.total_distance, 6)})


def _parse_count(request: Request, name: str, default: int, low: int, high: int) -> int:
    """Return the number of a parameter within bounds; the default if it is absent or no number."""
    text = request.query_params.get(name, "")
    is_negative, digits = text.startswith("-"), text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return default
    return low if is_negative else min(max(int(digits[:9]), low), high)


def _render_titles(songs: Collection[Neighbour]) -> list[dict[str, Any]]:
    return [{"item_id": format_item_id(song.external_id, song.track_id), "title": song.title} for song in songs]


def _render_songs(songs: Collection[Neighbour]) -> list[dict[str, Any]]:
    albums = album_titles({song.album_id for song in songs if song.album_id is not None})
    return [
        title | {"author": song.artist, "album": albums.get(song.album_id or 0, "")}
        for title, song in zip(_render_titles(songs), songs, strict=True)
    ]
