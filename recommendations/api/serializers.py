"""Query parameters, and the schema of answers.

Answers are not rendered by these serializers, which would take ten times as long.
"""

import math
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.http.body_serializers import BodySerializer, ReferenceField
from common.http.query_parameters import LimitField
from engine.retrieval.candidates import HYBRID, SIMILARITIES
from engine.retrieval.candidates import SOURCES as CANDIDATE_SOURCES
from recommendations.serving.explanations import REASON_KINDS
from tracks.audience import AudienceParameters
from tracks.serializers import CardSerializer

MAX_LIMIT = 100
SOURCES = list(CANDIDATE_SOURCES)
STRATEGIES = [*SOURCES, "none"]
FALLBACK_REASONS = [
    "no_model",
    "model_unavailable",
    "foreign_model",
    "cold_user",
    "no_consent",
    "cold_track",
    "no_known_tracks",
    "nothing_new",
    "exhausted",
]


class PlacementField(serializers.RegexField):
    """Where in the app an answer is shown, for the engagement figures."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            r"^[\w.:-]{1,64}$",
            default="",
            allow_blank=True,
            error_messages={"invalid": "must be 1 to 64 letters, digits, _ . : -, or empty"},
            help_text="Where in the app the answer is shown, for the engagement figures: letters, digits, _ . : -",
            **options,
        )


class _Parameters(AudienceParameters):
    explain = serializers.BooleanField(default=False, help_text="Explain why each track was picked.")
    placement = PlacementField()


class SimilarParameters(_Parameters):
    limit = LimitField(default=10)
    kind = serializers.ChoiceField(
        choices=SIMILARITIES,
        default=HYBRID,
        help_text="What makes tracks similar: cf, that the same listeners play them; content, that tags, artist, "
        "album, sound and the like are alike; hybrid, both, content the more the less a track has been played.",
    )
    user_id = ReferenceField(
        required=False,
        help_text="For service keys: the listener whose dislikes and blocks apply. A token implies its own listener.",
    )


class PopularParameters(_Parameters):
    limit = LimitField(default=20)
    exclude_played = serializers.BooleanField(
        required=False,
        help_text="True: no tracks that the listener has played. False: such tracks compete with new ones by score. By "
        "default as many of them as `familiarity` says.",
    )


class DialField(serializers.FloatField):
    """A number from 0 to 1 that takes the place of a dial of the policy."""

    default_error_messages: ClassVar[dict[str, Any]] = dict.fromkeys(
        ("invalid", "min_value", "max_value", "max_string_length", "overflow"), "must be a number from 0 to 1"
    ) | {"no_json_number": "must be a number from 0 to 1; write it as 0.5, without quotes, and not as true or false"}

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, min_value=0, max_value=1, **options)

    def to_internal_value(self, data: Any) -> float:
        # Python takes true for 1. A text is what query strings consist of, but a mistake in a body.
        if isinstance(data, bool) or (isinstance(data, str) and isinstance(self.parent, BodySerializer)):
            self.fail("no_json_number")
        value = super().to_internal_value(data)
        if math.isnan(value):  # which is neither below 0 nor above 1
            self.fail("invalid")
        return value


class PersonalParameters(PopularParameters):
    familiarity = DialField(
        help_text="The share of tracks that the listener has played before, 0 to 1: 0 only new ones, 1 favourites. By "
        "default that of the policy."
    )
    diversity = DialField(
        help_text="How different the tracks are from each other, from the first position on, 0 to 1: 0 the best ones, "
        "however similar. By default that of the policy, which may leave the first positions to the best ones."
    )

    session_id = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=64,
        help_text="The listener's current session, by the `session_id` of its events: what goes on its plays comes "
        "first, and they are not offered again. One without plays in the last 12 hours counts none. By default the "
        "plays of the last minutes are the current session.",
    )
    device = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=64,
        help_text="What the listener listens on, by the `device` of the events. It changes something where the dial "
        "`context` of the policy is above 0 and the version has learnt what is played on it.",
    )
    activity = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=64,
        help_text="What the tracks are going to be played from or for, by the `context` of the events, such as a "
        "playlist or an activity. It changes something under the same conditions as `device`.",
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if "familiarity" in attributes and "exclude_played" in attributes:
            raise serializers.ValidationError(
                {"familiarity": "says how many played tracks there are, as exclude_played does; send one of the two"}
            )
        return attributes


class GenreParameters(PersonalParameters):
    user_id = ReferenceField(
        required=False,
        help_text="For service keys: the listener whose taste, dislikes and blocks count; without one, popular tracks "
        "come first. A token implies its own listener.",
    )


class BecauseSerializer(serializers.Serializer[Any]):
    track_id = serializers.IntegerField()
    share = serializers.FloatField(help_text="The part that this track has in what speaks for the result, 0 to 1.")


class ExplanationSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(help_text="A sentence for the listener.")
    kind = serializers.ChoiceField(choices=REASON_KINDS, help_text="The kind of reason that counts most.")
    because_track_ids = serializers.ListField(
        child=serializers.IntegerField(), help_text="The tracks of `because`, in the same order."
    )
    because = BecauseSerializer(many=True, help_text="The tracks that contribute most, at most two.")
    share = serializers.FloatField(
        allow_null=True, help_text="The part of the reason in what speaks for the result, 0 to 1; null if it has none."
    )


@extend_schema_serializer(component_name="RecommendedTrack")  # `Result` is a type of Swift and Kotlin
class ResultSerializer(CardSerializer):
    score = serializers.FloatField(help_text="Comparable among results of the same source only.")
    position = serializers.IntegerField(help_text="From 1.")
    source = serializers.ChoiceField(choices=SOURCES)  # type: ignore[assignment]
    explanation = ExplanationSerializer(required=False)


class AnswerSerializer(serializers.Serializer[Any]):
    recommendation_id = serializers.UUIDField()
    strategy = serializers.ChoiceField(choices=STRATEGIES)
    model_version = serializers.CharField(allow_null=True)
    generated_at = serializers.DateTimeField()
    degraded = serializers.BooleanField(
        help_text="Whether the answer was made without the model version that should serve."
    )
    fallback_reason = serializers.ChoiceField(
        choices=FALLBACK_REASONS,
        allow_null=True,
    )
    policy = serializers.CharField(
        help_text="The policy that built the slate, with its version unless that is the one built in: `personal@3`."
    )
    relaxed = serializers.ListField(
        child=serializers.CharField(),
        help_text="What the policy asks for and the catalogue does not allow, such as `artist_cap`; empty if nothing.",
    )
    next = serializers.CharField(
        allow_null=True,
        help_text="Path and query of the next page of this slate, which repeats none of its tracks; null if there is "
        "none.",
    )
    results = ResultSerializer(many=True)
