from typing import Any

from rest_framework import serializers

from common.http.cursor_pages import PageParameters, PageSerializer
from common.http.query_parameters import LimitField
from tracks.audience import AudienceParameters
from tracks.serializers import AlbumCardSerializer, ArtistCardSerializer, CardSerializer

MAX_QUERY_LENGTH = 256  # characters
SEND_A_QUERY = "send what to search for, for example ?q=bjork%20hyperballad"


class QueryTextParameters(serializers.Serializer[Any]):
    q = serializers.CharField(
        max_length=MAX_QUERY_LENGTH,
        error_messages={"required": f"is missing; {SEND_A_QUERY}", "blank": f"is empty; {SEND_A_QUERY}"},
        help_text="Words of a title and of the artist's name, in any order. The last word may be unfinished.",
    )


class SearchBoxParameters(QueryTextParameters, AudienceParameters):
    limit = LimitField(default=5, max_value=20, help_text="How many tracks, artists and albums, each.")


class SearchParameters(QueryTextParameters, PageParameters):
    """The query parameters of a search for artists or albums."""


class TrackSearchParameters(SearchParameters, AudienceParameters):
    """The query parameters of a search for tracks."""


class SearchBoxSerializer(serializers.Serializer[Any]):
    tracks = CardSerializer(many=True)
    artists = ArtistCardSerializer(many=True)
    albums = AlbumCardSerializer(many=True)


class TrackListSerializer(PageSerializer):
    results = CardSerializer(many=True)


class ArtistListSerializer(PageSerializer):
    results = ArtistCardSerializer(many=True)


class AlbumListSerializer(PageSerializer):
    results = AlbumCardSerializer(many=True)
