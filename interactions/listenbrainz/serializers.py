"""The JSON of ListenBrainz, for the OpenAPI document only. `interactions.listenbrainz.payload` validates it."""

from typing import Any

from rest_framework import serializers


class TrackMetadataSerializer(serializers.Serializer[Any]):
    artist_name = serializers.CharField()
    track_name = serializers.CharField()
    release_name = serializers.CharField(required=False, allow_blank=True, allow_null=True)
    additional_info = serializers.DictField(
        required=False, allow_null=True, help_text="recording_mbid, isrc, duration_ms, ms_played, media_player …"
    )


class SubmittedListenSerializer(serializers.Serializer[Any]):
    listened_at = serializers.IntegerField(required=False, help_text="UNIX seconds; not with `playing_now`.")
    track_metadata = TrackMetadataSerializer()


class SubmissionSerializer(serializers.Serializer[Any]):
    listen_type = serializers.ChoiceField(choices=["single", "import", "playing_now"])
    payload = SubmittedListenSerializer(many=True, help_text="1 to 1000 listens for `import`, else exactly one.")


class RejectedListenSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="The index of the listen in the payload, from 0.")
    error = serializers.CharField()


class SubmissionStatusSerializer(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="ok")
    rejected = RejectedListenSerializer(
        many=True, required=False, help_text="The invalid listens of an `import`, if there are any."
    )


class ValiditySerializer(serializers.Serializer[Any]):
    code = serializers.IntegerField()
    message = serializers.CharField()
    valid = serializers.BooleanField()
    user_name = serializers.CharField(required=False)


class ListenBrainzErrorSerializer(serializers.Serializer[Any]):
    code = serializers.IntegerField(help_text="The HTTP status.")
    error = serializers.CharField()
