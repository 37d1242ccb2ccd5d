from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers


@extend_schema_serializer(component_name="RejectedEvent")
class RejectionSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="The event's index in the array, from 0.")
    event_id = serializers.CharField(allow_null=True)
    type = serializers.CharField(allow_null=True)
    detail = serializers.CharField()


class ReceiptSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = RejectionSerializer(many=True)
