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
    recording_msid = serializers.UUIDField(required=False, help_text="Of a `playing_now`, with `?return_msid=true`.")
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


class AcceptedSerializer(serializers.Serializer[Any]):
    status = serializers.CharField(help_text="ok")


class ReturnedMetadataSerializer(serializers.Serializer[Any]):
    artist_name = serializers.CharField()
    track_name = serializers.CharField()
    release_name = serializers.CharField(required=False)
    additional_info = serializers.DictField(
        help_text="recording_msid and, where known, recording_mbid, isrc, duration_ms, duration_played, media_player."
    )
    mbid_mapping = serializers.DictField(required=False, help_text="The MusicBrainz ids of recording, release, artist.")


class ReturnedListenSerializer(serializers.Serializer[Any]):
    listened_at = serializers.IntegerField(help_text="UNIX seconds.")
    inserted_at = serializers.IntegerField(help_text="UNIX seconds.")
    recording_msid = serializers.UUIDField()
    user_name = serializers.CharField()
    track_metadata = ReturnedMetadataSerializer()


class ListenListSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    user_id = serializers.CharField(help_text="The name of the user.")
    latest_listen_ts = serializers.IntegerField(help_text="Of all listens, in UNIX seconds; 0 without any.")
    oldest_listen_ts = serializers.IntegerField()
    listens = ReturnedListenSerializer(many=True)


class ListensAnswerSerializer(serializers.Serializer[Any]):
    payload = ListenListSerializer()


class ListenCountSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()


class ListenCountAnswerSerializer(serializers.Serializer[Any]):
    payload = ListenCountSerializer()


class PlayingListenSerializer(serializers.Serializer[Any]):
    playing_now = serializers.BooleanField()
    user_name = serializers.CharField()
    track_metadata = ReturnedMetadataSerializer()


class PlayingNowListSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="0 or 1.")
    user_id = serializers.CharField(help_text="The name of the user.")
    playing_now = serializers.BooleanField()
    listens = PlayingListenSerializer(many=True)


class PlayingNowAnswerSerializer(serializers.Serializer[Any]):
    payload = PlayingNowListSerializer()


class LatestImportSerializer(serializers.Serializer[Any]):
    musicbrainz_id = serializers.CharField(help_text="The name of the user.")
    latest_import = serializers.IntegerField(help_text="UNIX seconds; 0 if nothing was imported.")
    status = serializers.DictField(allow_null=True, help_text="Null: imports by this service have their own endpoint.")
    error = serializers.DictField(allow_null=True, help_text="Always null.")


class LatestImportChangeSerializer(serializers.Serializer[Any]):
    ts = serializers.IntegerField(help_text="UNIX seconds.")
    service = serializers.CharField(required=False, help_text="`lastfm` if absent.")


class NewFeedbackSerializer(serializers.Serializer[Any]):
    score = serializers.ChoiceField(choices=[1, 0, -1])
    recording_mbid = serializers.UUIDField(required=False)
    recording_msid = serializers.UUIDField(required=False, help_text="As a listen or a `playing_now` has it.")


class RecordingIdsSerializer(serializers.Serializer[Any]):
    recording_mbids = serializers.ListField(child=serializers.UUIDField(), required=False)
    recording_msids = serializers.ListField(child=serializers.UUIDField(), required=False)


class RecordingFeedbackSerializer(serializers.Serializer[Any]):
    user_id = serializers.CharField(help_text="The name of the user.")
    recording_mbid = serializers.UUIDField(allow_null=True)
    recording_msid = serializers.UUIDField(allow_null=True)
    score = serializers.IntegerField(help_text="1, 0 or -1.")
    created = serializers.IntegerField(allow_null=True, help_text="UNIX seconds.")
    track_metadata = ReturnedMetadataSerializer(allow_null=True, help_text="With `metadata=true`, else null.")


class FeedbackPageSerializer(serializers.Serializer[Any]):
    feedback = RecordingFeedbackSerializer(many=True)
    count = serializers.IntegerField()
    total_count = serializers.IntegerField()
    offset = serializers.IntegerField()


class FeedbackSelectionSerializer(serializers.Serializer[Any]):
    feedback = RecordingFeedbackSerializer(many=True)
