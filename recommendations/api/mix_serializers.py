"""Query parameters of mixes and home screens, and the schema of their answers."""

from typing import Any

from rest_framework import serializers

from common.http.query_parameters import LimitField
from engine.mixes import LENGTH
from recommendations.api.serializers import FALLBACK_REASONS, STRATEGIES, ResultSerializer
from recommendations.mixes.screens import KINDS
from tracks.audience import AudienceParameters

MAX_SHELVES = 20


class _ScreenParameters(AudienceParameters):
    explain = serializers.BooleanField(default=False, help_text="Explain why each track was picked.")


class MixesParameters(_ScreenParameters):
    limit = LimitField(default=30, max_value=LENGTH, help_text=f"The number of tracks of each mix, 1 to {LENGTH}.")


class HomeParameters(_ScreenParameters):
    limit = LimitField(default=12, max_value=LENGTH, help_text=f"The number of tracks of each shelf, 1 to {LENGTH}.")
    shelves = LimitField(
        default=8, max_value=MAX_SHELVES, help_text=f"The largest number of shelves, 1 to {MAX_SHELVES}."
    )


class MixSerializer(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The same every day, such as `daily-mix-1`.")
    kind = serializers.ChoiceField(choices=KINDS)
    title = serializers.CharField()
    description = serializers.CharField(help_text="A short sentence for the listener.")
    is_personal = serializers.BooleanField(help_text="Whether it rests on what the listener has done.")
    artist_id = serializers.IntegerField(allow_null=True, help_text="The artist that it is about; null for none.")
    tag_id = serializers.IntegerField(allow_null=True, help_text="The tag that it is about; null for none.")
    recommendation_id = serializers.UUIDField(
        help_text="Send it with the events of these tracks. It is the same while the same tracks are shown."
    )
    strategy = serializers.ChoiceField(choices=STRATEGIES, help_text="The source of the first track.")
    generated_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="The next midnight UTC, when there are new ones.")
    results = ResultSerializer(many=True)


class MixesSerializer(serializers.Serializer[Any]):
    model_version = serializers.CharField(allow_null=True)
    degraded = serializers.BooleanField(
        help_text="Whether the answer was made without the model version that should serve."
    )
    fallback_reason = serializers.ChoiceField(choices=FALLBACK_REASONS, allow_null=True)
    expires_at = serializers.DateTimeField()
    shelves = MixSerializer(many=True)
