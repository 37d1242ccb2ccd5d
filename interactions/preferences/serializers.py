from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.http.body_serializers import StrictSerializer
from interactions.models import Block


class BlockSerializer(StrictSerializer):
    """The body of a block; it may be absent."""

    until = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="RFC 3339; absent or null for a block without end."
    )


@extend_schema_serializer(component_name="Blocked")
class StoredBlockSerializer(BlockSerializer):
    kind = serializers.ChoiceField(choices=Block.Kind.values)
    target_id = serializers.IntegerField(help_text="The id of the artist, album, track or genre.")


class PreferencesSerializer(serializers.Serializer[Any]):
    likes = serializers.ListField(child=serializers.IntegerField(), help_text="Track ids, the latest first.")
    dislikes = serializers.ListField(child=serializers.IntegerField(), help_text="Track ids, the latest first.")
    blocks = StoredBlockSerializer(many=True, help_text="The blocks in force, the latest first.")
