"""Serializers for the OpenAPI schema.

Responses are built from plain dicts: a serializer per item would take longer than the rest of a request.
"""

from typing import Any

from rest_framework import serializers


class CardSerializer(serializers.Serializer[Any]):
    track_id = serializers.IntegerField()
    title = serializers.CharField()
    artist_name = serializers.CharField()
    artist_id = serializers.IntegerField()
    album_id = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    preview_url = serializers.URLField(allow_null=True)
    cover_url = serializers.URLField(allow_null=True)
    external_id = serializers.CharField(allow_null=True, help_text="Its id in the service it was imported from.")
    explicit = serializers.BooleanField()


class ArtistCardSerializer(serializers.Serializer[Any]):
    artist_id = serializers.IntegerField()
    name = serializers.CharField()
    external_id = serializers.CharField(allow_null=True, help_text="Its id in the service it was imported from.")
    mbid = serializers.UUIDField(allow_null=True, help_text="Its id in MusicBrainz.")


class AlbumCardSerializer(serializers.Serializer[Any]):
    album_id = serializers.IntegerField()
    title = serializers.CharField()
    artist_name = serializers.CharField()
    artist_id = serializers.IntegerField()
    year = serializers.IntegerField(allow_null=True)
    cover_url = serializers.URLField(allow_null=True)
    external_id = serializers.CharField(allow_null=True, help_text="Its id in the service it was imported from.")
    mbid = serializers.UUIDField(allow_null=True, help_text="Its id in MusicBrainz.")


class TagSerializer(serializers.Serializer[Any]):
    tag_id = serializers.IntegerField(help_text="The id by which a genre is blocked.")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=["genre", "mood", "instrument", "other"])


class TrackPageSerializer(CardSerializer):
    album_title = serializers.CharField(allow_null=True)
    year = serializers.IntegerField(allow_null=True)
    tempo = serializers.FloatField(allow_null=True)
    energy = serializers.FloatField(allow_null=True)
    valence = serializers.FloatField(allow_null=True)
    tags = TagSerializer(many=True)
