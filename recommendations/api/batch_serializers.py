"""What `POST /recommend/batch` takes and gives."""

from typing import Any

from rest_framework import serializers

from engine.data.id_map import INT64_MAX
from recommendations.api.serializers import MAX_LIMIT, AnswerSerializer, PersonalParameters

MAX_LISTENERS = 100
MAX_SHELVES = 20
KINDS = {"personal": "personal", "similar": "similar", "popular": "legacy"}


class ShelfSerializer(serializers.Serializer[Any]):
    name = serializers.RegexField(r"^[\w.:-]{1,64}$", help_text="Letters, digits, _ . : -; comes back with the answer.")
    kind = serializers.ChoiceField(choices=list(KINDS))
    limit = serializers.IntegerField(default=20, min_value=1, max_value=MAX_LIMIT)
    track_id = serializers.IntegerField(
        required=False, min_value=1, max_value=INT64_MAX, help_text="What a `similar` shelf is to be like."
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if (attributes["kind"] == "similar") != ("track_id" in attributes):
            raise serializers.ValidationError({"track_id": "a similar shelf needs one, and no other shelf has one"})
        return attributes


class BatchSerializer(PersonalParameters):
    """Either `users`, or `shelves` of one listener."""

    users = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=INT64_MAX),
        required=False,
        min_length=1,
        max_length=MAX_LISTENERS,
        help_text=f"Ids of up to {MAX_LISTENERS} listeners, for service keys; a token's listener may name itself.",
    )
    user_id = serializers.IntegerField(
        required=False, min_value=1, max_value=INT64_MAX, help_text="Whose shelves, for service keys."
    )
    shelves = serializers.ListField(
        child=ShelfSerializer(), required=False, min_length=1, max_length=MAX_SHELVES, help_text="Of one listener."
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if ("users" in attributes) == ("shelves" in attributes):
            raise serializers.ValidationError({"users": "send either users or shelves"})
        names = [one["name"] for one in attributes.get("shelves", [])]
        if len(set(names)) < len(names):
            raise serializers.ValidationError({"shelves": "each shelf needs a name of its own"})
        users = attributes.get("users", [])
        if len(set(users)) < len(users):
            raise serializers.ValidationError({"users": "each listener may be named once"})
        return attributes


class UserAnswerSerializer(AnswerSerializer):
    user_id = serializers.IntegerField()


class ShelfAnswerSerializer(AnswerSerializer):
    name = serializers.CharField()


class BatchAnswerSerializer(serializers.Serializer[Any]):
    answers = UserAnswerSerializer(many=True, required=False)
    shelves = ShelfAnswerSerializer(many=True, required=False)
