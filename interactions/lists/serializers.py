from typing import Any

from rest_framework import serializers

from common.http.cursor_pages import PageParameters, PageSerializer
from interactions.models import BlockKind, InteractionKind
from tracks.serializers import CardSerializer

BLOCK_KINDS = BlockKind.values
PLAYED_KINDS = [InteractionKind.PLAY.value, InteractionKind.SKIP.value]


class HistoryParameters(PageParameters):
    since = serializers.DateTimeField(required=False, help_text="RFC 3339: only plays of this time or later.")
    until = serializers.DateTimeField(required=False, help_text="RFC 3339: only plays before this time.")


class BlockListParameters(PageParameters):
    kind = serializers.ChoiceField(
        choices=BLOCK_KINDS,
        required=False,
        help_text="Only blocks of this kind.",
    )


class PlayedTrackSerializer(CardSerializer):
    event_id = serializers.UUIDField(help_text="The app's id of the event, or one that was derived from the report.")
    kind = serializers.ChoiceField(choices=PLAYED_KINDS)
    played_at = serializers.DateTimeField()
    plays = serializers.IntegerField(help_text="1, or the number of plays of an imported total.")
    ms_played = serializers.IntegerField(allow_null=True)
    milestone = serializers.IntegerField(help_text="Percent of the track that was heard.")
    is_completed = serializers.BooleanField()
    is_skip = serializers.BooleanField(help_text="The listener ended it within 30 seconds.")
    source = serializers.CharField(help_text="`api`, `listenbrainz`, or `import:` and the format.")  # type: ignore[assignment]
    recommendation_id = serializers.UUIDField(allow_null=True, help_text="The slate that the track was on.")


class HistorySerializer(PageSerializer):
    results = PlayedTrackSerializer(many=True)


class LikedTrackSerializer(CardSerializer):
    liked_at = serializers.DateTimeField()


class LikeListSerializer(PageSerializer):
    results = LikedTrackSerializer(many=True)


class DislikedTrackSerializer(CardSerializer):
    disliked_at = serializers.DateTimeField()


class DislikeListSerializer(PageSerializer):
    results = DislikedTrackSerializer(many=True)


class BlockedTargetSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=BLOCK_KINDS)
    target_id = serializers.IntegerField(help_text="The id of the artist, album, track or genre.")
    external_id = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True, help_text="Its name or title; null if it has been deleted.")
    artist_name = serializers.CharField(allow_null=True, help_text="Of an album or a track.")
    cover_url = serializers.URLField(allow_null=True, help_text="Of an album or a track.")
    blocked_at = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True, help_text="Null for a block without end.")


class BlockListSerializer(PageSerializer):
    results = BlockedTargetSerializer(many=True)
