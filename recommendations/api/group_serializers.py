"""The body of `POST /recommend/group`, and the schema of its answer."""

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.http.body_serializers import BoundedListField, ReferenceField, StrictSerializer
from engine.retrieval.candidates import AVERAGE, GROUP_STRATEGIES
from recommendations.api.serializers import AnswerSerializer, ExplanationSerializer, PopularParameters, ResultSerializer

MIN_LISTENERS, MAX_LISTENERS = 2, 10
STRATEGIES = list(GROUP_STRATEGIES)
MEMBER_REASONS = ["cold_user", "no_consent"]


class GroupSerializer(StrictSerializer, PopularParameters):
    """The listeners of a group, and what they ask for together."""

    listeners = BoundedListField(
        child=ReferenceField(),
        min_length=MIN_LISTENERS,
        max_length=MAX_LISTENERS,
        help_text=f"{MIN_LISTENERS} to {MAX_LISTENERS} different listeners by either id.",
    )
    strategy = serializers.ChoiceField(
        choices=STRATEGIES,
        default=AVERAGE,
        help_text="average: what is most relevant on average. least_misery: what is most relevant for the one who "
        "likes it least.",
    )
    exclude_played = serializers.BooleanField(
        default=True,
        help_text="True: no tracks that one of them has played. False: such tracks compete with new ones by score.",
    )

    def validate_listeners(self, listeners: list[Any]) -> list[Any]:
        if len(set(listeners)) < len(listeners):
            raise serializers.ValidationError("names a listener twice")
        return listeners


class _ListenerName(serializers.Serializer[Any]):
    user_id = serializers.IntegerField(allow_null=True, help_text="Null if no listener has this external id.")
    external_id = serializers.CharField(required=False, help_text="If the request named the listener by it.")


class GroupListenerSerializer(_ListenerName):
    fallback_reason = serializers.ChoiceField(
        choices=MEMBER_REASONS,
        allow_null=True,
        help_text="Why the listener counts with what is popular, or with a short history; null with their own taste.",
    )


class GroupExplanationSerializer(_ListenerName, ExplanationSerializer):
    relevance = serializers.FloatField(
        allow_null=True,
        help_text="How relevant the track is for this listener among the candidates, from 0, the least relevant one or "
        "an unknown one, to 1; null for a track that the version does not know.",
    )


@extend_schema_serializer(component_name="GroupTrack")
class GroupResultSerializer(ResultSerializer):
    explanation = None  # type: ignore[assignment]  # each listener has one
    explanations = GroupExplanationSerializer(
        many=True, required=False, help_text="One for each listener, in the order of the request."
    )


class GroupAnswerSerializer(AnswerSerializer):
    aggregation = serializers.ChoiceField(choices=STRATEGIES, help_text="The `strategy` of the request.")
    listeners = GroupListenerSerializer(many=True, help_text="In the order of the request.")
    results = GroupResultSerializer(many=True)
