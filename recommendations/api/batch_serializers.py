"""The body of `POST /recommend/batch`, and the schema of its answer."""

from typing import Any

from rest_framework import serializers

from common.http.body_serializers import BoundedListField, ReferenceField, StrictSerializer
from engine.retrieval.candidates import SIMILARITIES
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
    kind = serializers.ChoiceField(choices=list(KINDS))
    limit = serializers.IntegerField(default=20, min_value=1, max_value=MAX_LIMIT)
    track_id = ReferenceField(
        required=False,
        help_text="The track that a `similar` shelf resembles: its id, or `external:` and its external id.",
    )
    similarity = serializers.ChoiceField(
        choices=SIMILARITIES,
        required=False,
        help_text="What makes the tracks of a `similar` shelf similar, as the parameter `kind` of similar tracks: cf, "
        "content or hybrid, the default.",
    )

    def validate(self, attributes: dict[str, Any]) -> dict[str, Any]:
        if "similarity" in attributes and attributes["kind"] != "similar":
            raise serializers.ValidationError({"similarity": "is not allowed for a shelf of another kind than similar"})
        if (attributes["kind"] == "similar") != ("track_id" in attributes):
            raise serializers.ValidationError(
                {"track_id": "is required for a similar shelf, and not allowed for another"}
            )
        return attributes


class BatchSerializer(StrictSerializer, PersonalParameters):
    """Either `users`, or the `shelves` of one listener."""

    users = BoundedListField(
        child=ReferenceField(),
        required=False,
        min_length=1,
        max_length=MAX_LISTENERS,
        help_text=f"Up to {MAX_LISTENERS} listeners by either id; with a token, only its own.",
    )
    user_id = ReferenceField(
        required=False,
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
        attributes = super().validate(attributes)
        if ("users" in attributes) == ("shelves" in attributes):
            raise serializers.ValidationError({"users": "send either users or shelves"})
        if "users" in attributes and "user_id" in attributes:
            raise serializers.ValidationError({"user_id": "names the listener of shelves; leave it out beside users"})
        names = [shelf["name"] for shelf in attributes.get("shelves", [])]
        if len(set(names)) < len(names):
            raise serializers.ValidationError({"shelves": "names must be unique"})
        users = attributes.get("users", [])
        if len(set(users)) < len(users):
            raise serializers.ValidationError({"users": "ids must be unique"})
        return attributes


class UserAnswerSerializer(AnswerSerializer):
    user_id = serializers.IntegerField(allow_null=True, help_text="Null if no listener has this external id.")
    external_id = serializers.CharField(required=False, help_text="If the request named the listener by it.")


class ShelfAnswerSerializer(AnswerSerializer):
    name = serializers.CharField()


class BatchAnswerSerializer(serializers.Serializer[Any]):
    answers = UserAnswerSerializer(many=True, required=False)
    shelves = ShelfAnswerSerializer(many=True, required=False)
