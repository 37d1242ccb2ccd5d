from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from engine.ids import INT64_MAX

EVENT_TYPES = ("play_end", "like")
MAX_EVENTS = 500
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
A_DAY_MS = 86_400_000


class EventSerializer(serializers.Serializer[Any]):
    event_id = serializers.UUIDField(help_text="The client's id of the event: sent again, it counts once.")
    type = serializers.ChoiceField(choices=EVENT_TYPES)
    user_id = serializers.IntegerField(
        required=False, min_value=1, max_value=INT64_MAX, help_text="For service keys; a token's listener is its own."
    )
    track_id = serializers.IntegerField(min_value=1, max_value=INT64_MAX)
    occurred_at = serializers.DateTimeField(help_text="RFC 3339; when it happened.")
    ms_played = serializers.IntegerField(required=False, allow_null=True, min_value=0, max_value=A_DAY_MS)
    session_id = serializers.CharField(required=False, allow_blank=True, max_length=64)
    device = serializers.CharField(required=False, allow_blank=True, max_length=64)
    context = serializers.CharField(required=False, allow_blank=True, max_length=64)  # type: ignore[assignment]

    def validate_occurred_at(self, value: datetime) -> datetime:
        if value < EARLIEST:
            raise serializers.ValidationError("is before the year 2000")
        return value


class RejectedSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Its place in the array, from 0.")
    event_id = serializers.CharField(allow_null=True)
    type = serializers.CharField(allow_null=True)
    detail = serializers.CharField()


class ReceiptSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = RejectedSerializer(many=True)
