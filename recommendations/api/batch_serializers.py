"""The body of `POST /recommend/batch`, and the schema of its answer."""

from typing import Any

from rest_framework import serializers

from common.http.body_serializers import BoundedListField, StrictSerializer
from engine.data.id_map import INT64_MAX
from recommendations.api.serializers import MAX_LIMIT, AnswerSerializer, PersonalParameters

MAX_LISTENERS = 100
MAX_SHELVES = 20
KINDS = {"personal": "personal", "similar": "similar", "popular": "legacy"}


class ShelfSerializer(StrictSerializer):
    """A row of a listener's screen."""

    name = serializers.RegexField(
        r"^[\w.:-]{1,64}$",
        error_messages=dict.fromkeys(("invalid", "blank"), "must be 1 to 64 letters, digits, _ . : -"),
        help_text="Letters, digits, _ . : -. The answer repeats it.",
    )
    kind = serializers.ChoiceField(
        choices=list(KINDS), error_messages={"invalid_choice": f"must be one of {', '.join(KINDS)}"}
    )
    limit = serializers.IntegerField(default=20, min_value=1, max_value=MAX_LIMIT)
    track_id = serializers.IntegerField(
        required=False, min_value=1, max_value=INT64_MAX, help_text="The track that a `similar` shelf resembles."
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if (attributes["kind"] == "similar") != ("track_id" in attributes):
            raise serializers.ValidationError(
                {"track_id": "is required for a similar shelf, and not allowed for another"}
            )
        return attributes


class BatchSerializer(StrictSerializer, PersonalParameters):
    """Either `users`, or the `shelves` of one listener."""

    users = BoundedListField(
        child=serializers.IntegerField(min_value=1, max_value=INT64_MAX),
        required=False,
        min_length=1,
        max_length=MAX_LISTENERS,
        help_text=f"Ids of up to {MAX_LISTENERS} listeners; with a token only the listener's own id.",
    )
    user_id = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=INT64_MAX,
        help_text="The listener whose shelves these are. Needed with a service key; a token implies its own listener.",
    )
    shelves = BoundedListField(
        child=ShelfSerializer(),
        required=False,
        min_length=1,
        max_length=MAX_SHELVES,
        help_text="The rows of one listener's screen.",
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if ("users" in attributes) == ("shelves" in attributes):
            raise serializers.ValidationError({"users": "send either users or shelves"})
        names = [shelf["name"] for shelf in attributes.get("shelves", [])]
        if len(set(names)) < len(names):
            raise serializers.ValidationError({"shelves": "names must be unique"})
        users = attributes.get("users", [])
        if len(set(users)) < len(users):
            raise serializers.ValidationError({"users": "ids must be unique"})
        return attributes


class UserAnswerSerializer(AnswerSerializer):
    user_id = serializers.IntegerField()


class ShelfAnswerSerializer(AnswerSerializer):
    name = serializers.CharField()


class BatchAnswerSerializer(serializers.Serializer[Any]):
    answers = UserAnswerSerializer(many=True, required=False)
    shelves = ShelfAnswerSerializer(many=True, required=False)
