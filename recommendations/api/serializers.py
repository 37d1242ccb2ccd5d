"""Query parameters, and the schema of answers.

Answers are not rendered by these serializers, which would take ten times as long.
"""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.http.body_serializers import ReferenceField
from common.http.query_parameters import LimitField
from engine.retrieval.candidates import SOURCES as CANDIDATE_SOURCES
from recommendations.serving.explanations import REASON_KINDS
from tracks.audience import AudienceParameters
from tracks.serializers import CardSerializer

MAX_LIMIT = 100
SOURCES = [*CANDIDATE_SOURCES, "content"]  # content: what similar answers are filled up with, from the catalogue


class _Parameters(AudienceParameters):
    explain = serializers.BooleanField(default=False, help_text="Explain why each track was picked.")
    placement = serializers.RegexField(
        r"^[\w.:-]{1,64}$",
        default="",
        allow_blank=True,
        error_messages={"invalid": "must be 1 to 64 letters, digits, _ . : -, or empty"},
        help_text="Where in the app the answer is shown, for the engagement figures: letters, digits, _ . : -",
    )


class SimilarParameters(_Parameters):
    limit = LimitField(default=10)
    user_id = ReferenceField(
        required=False,
        help_text="For service keys: the listener whose dislikes and blocks apply. A token implies its own listener.",
    )


class PersonalParameters(_Parameters):
    limit = LimitField(default=20)
    exclude_played = serializers.BooleanField(default=True, help_text="Leave out tracks that the listener has played.")


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
    strategy = serializers.ChoiceField(choices=[*SOURCES, "none"])
    model_version = serializers.CharField(allow_null=True)
    generated_at = serializers.DateTimeField()
    degraded = serializers.BooleanField(
        help_text="Whether the answer was made without the model version that should serve."
    )
    fallback_reason = serializers.ChoiceField(
        choices=[
            "no_model",
            "model_unavailable",
            "foreign_model",
            "cold_user",
            "no_consent",
            "cold_track",
            "no_known_tracks",
            "nothing_new",
        ],
        allow_null=True,
    )
    next = serializers.CharField(
        allow_null=True,
        help_text="Path and query of the next page of this slate, which repeats none of its tracks; null if there is "
        "none.",
    )
    results = ResultSerializer(many=True)
