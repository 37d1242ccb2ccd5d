"""The bodies of PUT for tracks, artists and albums, and the answers to many at once."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from common.http.body_serializers import BoundedListField, StrictSerializer
from common.http.upserts import MAX_ITEMS, BulkAnswerSerializer, ExternalIdField, UpsertSerializer
from importers.cell_parsers import MAX_INTEGER, MAX_NAME_LENGTH, MAX_URL_LENGTH, is_url, parse_isrc
from importers.errors import BadValue
from tracks.models import CREDIBLE_TEMPO
from tracks.serializers import TAG_KINDS

MAX_TAGS = 100
MAX_MARKETS = 249  # codes of ISO 3166-1
MARKET_ERROR = "must be two capital letters, as in ISO 3166-1"


@extend_schema_field({"type": "string", "format": "uri", "maxLength": MAX_URL_LENGTH})
class WebAddressField(serializers.CharField):
    """An http or https address, as importers accept it: with any host, also one of an internal network."""

    def to_internal_value(self, data: Any) -> str:
        text = str(super().to_internal_value(data))
        if not is_url(text):
            raise ValidationError(f"must be an http or https address of at most {MAX_URL_LENGTH} characters")
        return text


@extend_schema_field({"type": "string", "example": "GBAYE0601498"})
class IsrcField(serializers.CharField):
    """An ISRC with or without the hyphens of its printed form."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_isrc("isrc", str(super().to_internal_value(data))) or ""
        except BadValue as error:
            raise ValidationError("must be 12 letters and digits, with or without hyphens") from error


class MbidField(serializers.UUIDField):
    """A UUID of MusicBrainz, as a text: DRF's field takes the number 1, or true, for a UUID as well."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid", value=data)
        return super().to_internal_value(data)


class MarketsField(BoundedListField):
    """A list of countries, which the database holds as a text."""

    child = serializers.RegexField(r"\A[A-Z]{2}\Z", error_messages={"invalid": MARKET_ERROR})

    def to_internal_value(self, data: Any) -> str:  # type: ignore[override]
        return " ".join(sorted(set(super().to_internal_value(data))))


def _fraction() -> serializers.FloatField:
    return serializers.FloatField(required=False, allow_null=True, min_value=0, max_value=1)


class ArtistOfBodySerializer(StrictSerializer):
    """The artist of a track or an album, who is added if they are new."""

    external_id = ExternalIdField(required=False)
    name = serializers.CharField(
        required=False,
        max_length=MAX_NAME_LENGTH,
        help_text="Needed for a new artist. A known artist keeps their name; rename them by `PUT /artists/…`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise ValidationError("send external_id, name or both")
        return attrs


class AlbumOfBodySerializer(StrictSerializer):
    """The album of a track, which is added if it is new."""

    external_id = ExternalIdField(required=False)
    title = serializers.CharField(
        required=False,
        max_length=MAX_NAME_LENGTH,
        help_text="Needed for a new album. A known album keeps its title; rename it by `PUT /albums/…`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs:
            raise ValidationError("send external_id, title or both")
        return attrs


class TagOfBodySerializer(StrictSerializer):
    name = serializers.CharField(max_length=128)
    kind = serializers.ChoiceField(choices=TAG_KINDS, default="other")
    weight = serializers.FloatField(default=1.0, help_text="How strongly it applies, more than 0.")

    def validate_weight(self, weight: float) -> float:
        if weight <= 0:
            raise ValidationError("must be more than 0")
        return weight


class TrackUpsertSerializer(UpsertSerializer):
    """A track. Absent fields stay as they are; null clears a field."""

    cleared_values = {"preview_url": "", "cover_url": "", "explicit": False, "markets": "", "tags": []}

    title = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH, help_text="Required for a new track.")
    artist = ArtistOfBodySerializer(required=False, help_text="Required for a new track.")
    album = AlbumOfBodySerializer(required=False, allow_null=True)
    duration_ms = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=MAX_INTEGER)
    released_on = serializers.DateField(required=False, allow_null=True)
    isrc = IsrcField(required=False, allow_null=True)
    mbid = MbidField(required=False, allow_null=True, help_text="The recording's id in MusicBrainz.")
    tags = BoundedListField(
        child=TagOfBodySerializer(),
        required=False,
        allow_null=True,
        max_length=MAX_TAGS,
        help_text="They replace all tags of the track.",
    )
    tempo = serializers.FloatField(
        required=False,
        allow_null=True,
        min_value=CREDIBLE_TEMPO[0],
        max_value=CREDIBLE_TEMPO[1],
        help_text="Beats per minute.",
    )
    energy, valence, danceability, acousticness = _fraction(), _fraction(), _fraction(), _fraction()
    explicit = serializers.BooleanField(required=False, allow_null=True)
    markets = MarketsField(
        required=False,
        allow_null=True,
        max_length=MAX_MARKETS,
        help_text="The countries where it is available. Empty or null: everywhere.",
    )
    available = serializers.BooleanField(
        required=False, help_text="`false` takes the track down; only `true` offers it again."
    )
    preview_url = WebAddressField(required=False, allow_null=True)
    cover_url = WebAddressField(required=False, allow_null=True)

    def validate_tags(self, tags: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        if tags and len({(tag["name"], tag["kind"]) for tag in tags}) < len(tags):
            raise ValidationError("a tag is sent twice, with the same name and kind; send each one once")
        return tags


class TrackItemSerializer(TrackUpsertSerializer):
    external_id = ExternalIdField()


class ArtistUpsertSerializer(UpsertSerializer):
    """An artist. Absent fields stay as they are; null clears a field."""

    name = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH, help_text="Required for a new artist.")
    mbid = MbidField(required=False, allow_null=True, help_text="The artist's id in MusicBrainz.")


class ArtistItemSerializer(ArtistUpsertSerializer):
    external_id = ExternalIdField()


class AlbumUpsertSerializer(UpsertSerializer):
    """An album. Absent fields stay as they are; null clears a field."""

    cleared_values = {"cover_url": ""}

    title = serializers.CharField(required=False, max_length=MAX_NAME_LENGTH, help_text="Required for a new album.")
    artist = ArtistOfBodySerializer(required=False, help_text="Required for a new album.")
    year = serializers.IntegerField(required=False, allow_null=True, min_value=1000, max_value=2100)
    released_on = serializers.DateField(required=False, allow_null=True)
    cover_url = WebAddressField(required=False, allow_null=True)
    mbid = MbidField(required=False, allow_null=True, help_text="The release's id in MusicBrainz.")


class AlbumItemSerializer(AlbumUpsertSerializer):
    external_id = ExternalIdField()


class TracksUpsertSerializer(StrictSerializer):
    tracks = serializers.ListField(child=TrackItemSerializer(), min_length=1, max_length=MAX_ITEMS)


class ArtistsUpsertSerializer(StrictSerializer):
    artists = serializers.ListField(child=ArtistItemSerializer(), min_length=1, max_length=MAX_ITEMS)


class AlbumsUpsertSerializer(StrictSerializer):
    albums = serializers.ListField(child=AlbumItemSerializer(), min_length=1, max_length=MAX_ITEMS)


class WrittenItemSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="The item's index in the list, from 0.")
    external_id = serializers.CharField()


class WrittenTrackSerializer(WrittenItemSerializer):
    track_id = serializers.IntegerField()


class WrittenArtistSerializer(WrittenItemSerializer):
    artist_id = serializers.IntegerField()


class WrittenAlbumSerializer(WrittenItemSerializer):
    album_id = serializers.IntegerField()


class TracksAnswerSerializer(BulkAnswerSerializer):
    results = WrittenTrackSerializer(many=True)


class ArtistsAnswerSerializer(BulkAnswerSerializer):
    results = WrittenArtistSerializer(many=True)


class AlbumsAnswerSerializer(BulkAnswerSerializer):
    results = WrittenAlbumSerializer(many=True)
