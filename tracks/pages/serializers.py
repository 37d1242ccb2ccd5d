from rest_framework import serializers

from common.http.cursor_pages import PageParameters, PageSerializer
from tracks.audience import AudienceParameters
from tracks.pages.selectors import find_genre
from tracks.serializers import (
    AlbumCardSerializer,
    ArtistCardSerializer,
    CardSerializer,
    TagSerializer,
)


class TrackListParameters(PageParameters, AudienceParameters):
    """The query parameters of a list of tracks."""


class WindowField(serializers.RegexField):
    """A number of days up to now, such as `7d`."""

    def __init__(self, default: str) -> None:
        super().__init__(
            r"^([1-9]|[1-9]\d|[12]\d\d|3[0-5]\d|36[0-5])d$",
            default=default,
            error_messages={"invalid": "must be a number of days from 1d to 365d"},
            help_text="How far back, from `1d` to `365d`.",
        )


class RecentTracksParameters(TrackListParameters):
    """The query parameters of a list of tracks of the last days, which may be those of one genre.

    Once validated, `window` is the number of days and `genre` the id of a tag.
    """

    genre = serializers.CharField(max_length=128, required=False, help_text="A genre, by its name or its `tag_id`.")
    window = WindowField("30d")

    def validate_genre(self, name: str) -> int:
        if (genre_id := find_genre(name)) is None:
            raise serializers.ValidationError(f"no genre is called '{name}'; tracks name theirs under tags")
        return genre_id

    def validate_window(self, window: str) -> int:
        return int(window.removesuffix("d"))


class ArtistPageSerializer(ArtistCardSerializer):
    track_count = serializers.IntegerField(help_text="Of the tracks that are available.")
    album_count = serializers.IntegerField()
    tags = TagSerializer(many=True, help_text="The ten strongest tags of their tracks.")
    albums = AlbumCardSerializer(many=True, help_text="The ten newest.")
    tracks_path = serializers.CharField(help_text="All of their tracks.")
    albums_path = serializers.CharField(help_text="All of their albums.")


class AlbumPageSerializer(AlbumCardSerializer):
    track_count = serializers.IntegerField(help_text="Of the tracks that are available.")
    tracks = CardSerializer(many=True, help_text="The first 100.")
    tracks_path = serializers.CharField(help_text="All of its tracks.")


class CataloguePageParameters(AudienceParameters):
    """The query parameters of the page of an artist or album, whose available tracks are counted."""


class ReleaseSerializer(CardSerializer):
    released_on = serializers.DateField(allow_null=True, help_text="Its own date of release, or else its album's.")
    added_at = serializers.DateTimeField(help_text="When it was added to the catalogue.")


class NewReleasesSerializer(PageSerializer):
    results = ReleaseSerializer(many=True)
