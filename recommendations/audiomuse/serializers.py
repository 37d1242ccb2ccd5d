"""The JSON of AudioMuse-AI, for the OpenAPI document only."""

from typing import Any

from rest_framework import serializers


class AudioMuseErrorSerializer(serializers.Serializer[Any]):
    error = serializers.CharField()


class SongSerializer(serializers.Serializer[Any]):
    item_id = serializers.CharField(help_text="The id by which the player knows the track.")
    title = serializers.CharField()


class SongDetailsSerializer(SongSerializer):
    author = serializers.CharField(help_text="The artist.")
    album = serializers.CharField(help_text="Empty if unknown.")


class SimilarSongSerializer(SongDetailsSerializer):
    distance = serializers.FloatField(help_text="0 to 1, lower is nearer.")


class SongPathSerializer(serializers.Serializer[Any]):
    path = SongDetailsSerializer(many=True, help_text="With the first and the last track.")
    total_distance = serializers.FloatField(help_text="The sum of the distances between neighbours.")


class ComponentMatchSerializer(serializers.Serializer[Any]):
    component1_index = serializers.IntegerField(help_text="Always 0: an artist has one component here.")
    component2_index = serializers.IntegerField(help_text="Always 0.")
    distance = serializers.FloatField()
    artist1_representative_songs = SongSerializer(many=True, help_text="Of the artist that was asked about.")
    artist2_representative_songs = SongSerializer(many=True)


class SimilarArtistSerializer(serializers.Serializer[Any]):
    artist = serializers.CharField()
    artist_id = serializers.CharField(help_text="The id by which the player knows the artist.")
    divergence = serializers.FloatField(help_text="0 to 1, lower is nearer.")
    component_matches = ComponentMatchSerializer(
        many=True, required=False, help_text="With `include_component_matches=true`."
    )
