from typing import Any

from rest_framework import serializers

from access.listener_serializers import DisplayNameField, MarketField
from access.models import Erasure
from common.http.body_serializers import StrictSerializer
from privacy.merging import MergeReport


class AccountChangeSerializer(StrictSerializer):
    """The settings to change. Fields that are not sent stay as they are."""

    unknown_field_message = "cannot be changed; {fields} can be"

    consent = serializers.BooleanField(required=False)
    market = MarketField(required=False)
    allow_explicit = serializers.BooleanField(required=False)
    display_name = DisplayNameField(required=False)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError({"": "the body must be a JSON object"})
        return super().to_internal_value(data)


class MergeReportSerializer(serializers.Serializer[MergeReport]):
    """What a merge moved. All numbers are zero if it was done before."""

    user_id = serializers.IntegerField(help_text="The account.")
    merged_at = serializers.DateTimeField(help_text="When the device was merged; for a repeated merge the first time.")
    interactions = serializers.IntegerField(help_text="By how many interactions the account has more.")
    duplicates = serializers.IntegerField(help_text="Interactions that the account had already.")
    exposures = serializers.IntegerField()
    slates = serializers.IntegerField()
    blocks = serializers.IntegerField()
    waiting_listens = serializers.IntegerField()
    imports = serializers.IntegerField()


class ErasureSerializer(serializers.Serializer[Erasure]):
    """The progress of an erasure, without anything that identifies the listener: the receipt may be shared."""

    receipt = serializers.UUIDField()
    status = serializers.SerializerMethodField()
    requested_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    erased = serializers.DictField(child=serializers.IntegerField(), help_text="Rows erased so far, by table.")

    def get_status(self, erasure: Erasure) -> str:
        return "completed" if erasure.completed_at else "requested"
