"""Bodies and query parameters of radios, and the schema of their answers."""

import math
from typing import Any

from rest_framework import serializers

from common.http.body_serializers import BoundedListField, ReferenceField, StrictSerializer
from common.http.query_parameters import LimitField
from common.http.references import ExternalId
from engine.retrieval.station import EASY, MODES
from recommendations.api.serializers import DialField, PlacementField
from recommendations.radio.prompts import MAX_TERMS
from tracks.audience import AudienceParameters
from tracks.serializers import CardSerializer

SEED_KINDS = ["track", "artist", "tag", "genre", "mood", "taste"]
STORED_KINDS = [*SEED_KINDS, "stats", "recs"]
MAX_SEEDS = 50
MAX_WEIGHT = 100
MAX_PROMPT = 1024
MAX_NEXT = 50
MAX_PATH = 100
DEFAULT_DRIFT = 0.2


class WeightField(serializers.FloatField):
    """A number other than 0, from -100 to 100."""

    default_error_messages = dict.fromkeys(
        ("invalid", "max_string_length", "overflow"), f"must be a number from -{MAX_WEIGHT} to {MAX_WEIGHT}, but not 0"
    )

    def to_internal_value(self, data: Any) -> float:
        value = super().to_internal_value(data)
        if isinstance(data, bool) or math.isnan(value) or value == 0 or abs(value) > MAX_WEIGHT:
            self.fail("invalid")
        return value


class RadioSeedSerializer(StrictSerializer):
    """What a radio is made from: one thing of the catalogue, or the taste of its listener."""

    kind = serializers.ChoiceField(
        choices=SEED_KINDS,
        help_text="`taste`: what the radio's listener plays and likes, at any time.",
    )
    id = ReferenceField(
        required=False, help_text="The id of the track, artist or tag, or `external:` and the app's own id."
    )
    name = serializers.CharField(
        required=False, max_length=512, help_text="In place of the id: the name of an artist or a tag."
    )
    weight = WeightField(
        default=1.0,
        help_text="In proportion to the other seeds, −100 to 100; below 0 the radio keeps away from it.",
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        kind, given = attributes["kind"], [name for name in ("id", "name") if name in attributes]
        if kind == "taste" and given:
            raise serializers.ValidationError({given[0]: "taste is that of the radio's listener; leave this out"})
        if kind == "track" and "id" not in given:
            raise serializers.ValidationError({"id": "is required for a track; GET /search/tracks finds it"})
        if kind != "taste" and len(given) != 1:
            raise serializers.ValidationError({"id": f"name the {kind} by either its id or its name"})
        if kind in ("tag", "genre", "mood") and isinstance(attributes.get("id"), ExternalId):
            raise serializers.ValidationError({"id": "a tag has no external id; use the tag_id of a track page"})
        if kind == "taste" and attributes["weight"] < 0:
            raise serializers.ValidationError(
                {"weight": "must be above 0 for taste; dislikes and blocks say what to avoid"}
            )
        return attributes


class StartRadioSerializer(StrictSerializer, AudienceParameters):
    """Seeds, a prompt, or both."""

    seeds = BoundedListField(
        child=RadioSeedSerializer(),
        required=False,
        min_length=1,
        max_length=MAX_SEEDS,
        help_text="At least one of them with a weight above 0, unless there is a prompt.",
    )
    prompt = serializers.CharField(
        required=False,
        max_length=MAX_PROMPT,
        help_text=f"As for ListenBrainz Radio, up to {MAX_TERMS} terms: `artist:(NAME):2 tag:(trip hop) #rock`.",
    )
    mode = serializers.ChoiceField(
        choices=list(MODES),
        required=False,
        help_text=f"From close and popular to far and obscure; `{EASY}` if neither this nor the prompt says.",
    )
    drift = DialField(
        help_text="How far it follows what is liked and played, from 0, where it stays at its seeds, to 1; "
        f"{DEFAULT_DRIFT} if it is absent."
    )
    user_id = ReferenceField(
        required=False,
        help_text="For service keys: the listener whose taste, blocks and reactions count. A token implies its own "
        "listener. Without one, the radio hears nothing.",
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        attributes = super().validate(attributes)
        if "seeds" not in attributes and "prompt" not in attributes:
            raise serializers.ValidationError({"seeds": "send seeds, a prompt, or both"})
        weights = [seed["weight"] for seed in attributes.get("seeds", [])]
        if "prompt" not in attributes and max(weights) < 0:
            raise serializers.ValidationError({"seeds": "one of them must have a weight above 0"})
        return attributes


class StoredSeedSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=STORED_KINDS, help_text="Also `stats` and `recs` of a prompt.")
    id = serializers.IntegerField(allow_null=True, help_text="Null if it is not one row of the catalogue.")
    name = serializers.CharField(help_text="Of the track, artist or tags; empty if it has none.")
    weight = serializers.FloatField()
    track_count = serializers.IntegerField(
        allow_null=True, help_text="How many tracks stand for it, the most popular ones; null for taste, which changes."
    )


class RadioSerializer(serializers.Serializer[Any]):
    radio_id = serializers.UUIDField()
    user_id = serializers.IntegerField(allow_null=True, help_text="Its listener; null if it has none.")
    prompt = serializers.CharField(help_text="Empty if none was sent.")
    seeds = StoredSeedSerializer(many=True)
    mode = serializers.ChoiceField(choices=list(MODES))
    drift = serializers.FloatField()
    only_seeds = serializers.BooleanField(help_text="Whether it plays no other tracks than those of its seeds.")
    market = serializers.CharField(help_text="Empty: that of the listener.")
    explicit = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    offered_count = serializers.IntegerField(help_text="How many tracks it has offered.")
    offered_track_ids = serializers.ListField(child=serializers.IntegerField(), help_text="These tracks, in order.")
    next = serializers.CharField(help_text="Path of its next tracks.")


class NextTracksParameters(serializers.Serializer[Any]):
    limit = LimitField(default=10, max_value=MAX_NEXT)
    explain = serializers.BooleanField(default=False, help_text="Explain why each track was picked.")
    placement = PlacementField()


class PathParameters(AudienceParameters):
    to = ReferenceField(help_text="The last track: its id, or `external:` and the app's own id.")
    length = serializers.IntegerField(
        default=20,
        min_value=2,
        max_value=MAX_PATH,
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value", "max_string_length"), f"must be an integer from 2 to {MAX_PATH}"
        ),
        help_text=f"Tracks of the path, with both ends: 2 to {MAX_PATH}. It is shorter if there are no further tracks.",
    )
    user_id = ReferenceField(
        required=False,
        help_text="For service keys: the listener whose dislikes and blocks apply. A token implies its own listener.",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Return the fields, with `from`, which is no name in Python."""
        first = ReferenceField(help_text="The first track: its id, or `external:` and the app's own id.")
        return {"from": first, **super().get_fields()}


class PathTrackSerializer(CardSerializer):
    position = serializers.IntegerField(help_text="From 1.")
    distance = serializers.FloatField(
        allow_null=True,
        help_text="To the track before it, 1 − the cosine of their factors; null for the first one, and where the "
        "version in service has no factors of both ends.",
    )


class PathSerializer(serializers.Serializer[Any]):
    model_version = serializers.CharField(allow_null=True)
    total_distance = serializers.FloatField(allow_null=True, help_text="The sum of the distances.")
    results = PathTrackSerializer(many=True)
