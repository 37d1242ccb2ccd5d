"""Listeners as the API shows them, and the bodies that create and change them."""

from typing import Any

from rest_framework import serializers

from access.models import User
from common.http.upserts import BulkAnswerSerializer, ExternalIdField, UpsertSerializer

MAX_DISPLAY_NAME_LENGTH = 128


class MarketField(serializers.RegexField):
    """A country, or an empty text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            r"\A([A-Z]{2})?\Z",
            allow_blank=True,
            max_length=8,
            error_messages={"invalid": "must be two capital letters, as in ISO 3166-1, or empty"},
            help_text="Two capital letters, or empty.",
            **kwargs,
        )


class DisplayNameField(serializers.CharField):
    """What the app calls a listener, or an empty text."""

    def __init__(self, **kwargs: Any) -> None:
        help_text = "What the app calls the listener; shown to operators."
        super().__init__(allow_blank=True, max_length=MAX_DISPLAY_NAME_LENGTH, help_text=help_text, **kwargs)


class AccountSerializer(serializers.Serializer[User]):
    user_id = serializers.IntegerField(source="pk")
    external_id = serializers.CharField(allow_null=True, help_text="The app's own id of the listener.")
    consent = serializers.BooleanField(help_text="Off: no events are stored, and recommendations are popular tracks.")
    market = serializers.CharField(help_text="Two capital letters, as in ISO 3166-1; empty if unknown.")
    allow_explicit = serializers.BooleanField(help_text="Off: explicit tracks are left out.")
    display_name = serializers.CharField(help_text="What the app calls the listener; may be empty.")


class ListenerUpsertSerializer(UpsertSerializer):
    """A listener who is created or updated. Fields that are not sent stay as they are; null empties a text."""

    cleared_values = {"market": "", "display_name": ""}

    consent = serializers.BooleanField(
        required=False, help_text="Off: no events are stored, and recommendations are popular tracks."
    )
    market = MarketField(required=False, allow_null=True)
    allow_explicit = serializers.BooleanField(required=False, help_text="Off: explicit tracks are left out.")
    display_name = DisplayNameField(required=False, allow_null=True)


class ListenerItemSerializer(ListenerUpsertSerializer):
    """A listener in a list of them."""

    external_id = ExternalIdField(help_text="The app's own id of the listener.")


class ListenersUpsertSerializer(serializers.Serializer[Any]):
    listeners = ListenerItemSerializer(many=True, help_text="1 to 1,000 listeners.")


class UpsertedListenerSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="The item's index in the list, from 0.")
    external_id = serializers.CharField()
    user_id = serializers.IntegerField()


class ListenersUpsertAnswerSerializer(BulkAnswerSerializer):
    results = UpsertedListenerSerializer(many=True)
