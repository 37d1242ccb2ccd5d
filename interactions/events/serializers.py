from typing import Any

from rest_framework import serializers


class RejectedSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Its place in the array, from 0.")
    event_id = serializers.CharField(allow_null=True)
    type = serializers.CharField(allow_null=True)
    detail = serializers.CharField()


class ReceiptSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    duplicates = serializers.IntegerField()
    rejected = RejectedSerializer(many=True)


class BlockSerializer(serializers.Serializer[Any]):
    """The body of a block; it may be absent."""

    until = serializers.DateTimeField(
        required=False, allow_null=True, default=None, help_text="RFC 3339; absent or null: for good."
    )


class BlockedSerializer(BlockSerializer):
    kind = serializers.ChoiceField(choices=["artist", "album", "track", "genre"])
    target_id = serializers.IntegerField(help_text="Of the artist, album, track or genre.")


class PreferencesSerializer(serializers.Serializer[Any]):
    likes = serializers.ListField(child=serializers.IntegerField(), help_text="Track ids, the newest first.")
    dislikes = serializers.ListField(child=serializers.IntegerField(), help_text="Track ids, the newest first.")
    blocks = BlockedSerializer(many=True, help_text="Those in force.")
