"""Serializers for the OpenAPI schema.

Responses are built from plain dicts: a serializer per item would take longer than the rest of a request.
"""

from typing import Any

from rest_framework import serializers

TAG_KINDS = ["genre", "mood", "instrument", "other"]


class CardSerializer(serializers.Serializer[Any]):
    track_id = serializers.IntegerField()
    title = serializers.CharField()
    artist_name = serializers.CharField()
    artist_id = serializers.IntegerField()
    album_id = serializers.IntegerField(allow_null=True)
    duration_ms = serializers.IntegerField(allow_null=True)
    preview_url = serializers.URLField(allow_null=True)
    cover_url = serializers.URLField(allow_null=True)
    external_id = serializers.CharField(allow_null=True, help_text="The app's own id of it.")
    explicit = serializers.BooleanField()


class ArtistCardSerializer(serializers.Serializer[Any]):
    artist_id = serializers.IntegerField()
    name = serializers.CharField()
    external_id = serializers.CharField(allow_null=True, help_text="The app's own id of it.")
    mbid = serializers.UUIDField(allow_null=True, help_text="Its id in MusicBrainz.")


class AlbumCardSerializer(serializers.Serializer[Any]):
    album_id = serializers.IntegerField()
    title = serializers.CharField()
    artist_name = serializers.CharField()
    artist_id = serializers.IntegerField()
    year = serializers.IntegerField(allow_null=True)
    released_on = serializers.DateField(allow_null=True)
    cover_url = serializers.URLField(allow_null=True)
    external_id = serializers.CharField(allow_null=True, help_text="The app's own id of it.")
    mbid = serializers.UUIDField(allow_null=True, help_text="Its id in MusicBrainz.")


class TagSerializer(serializers.Serializer[Any]):
    tag_id = serializers.IntegerField(help_text="The id by which a genre is blocked.")
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=TAG_KINDS)
    weight = serializers.FloatField(help_text="How strongly it applies.")


class TrackPageSerializer(CardSerializer):
    album_title = serializers.CharField(allow_null=True)
    year = serializers.IntegerField(allow_null=True)
    released_on = serializers.DateField(allow_null=True, help_text="Its own, or else the album's.")
    isrc = serializers.CharField(allow_null=True)
    mbid = serializers.UUIDField(allow_null=True)
    tempo = serializers.FloatField(allow_null=True)
    energy = serializers.FloatField(allow_null=True)
    valence = serializers.FloatField(allow_null=True)
    danceability = serializers.FloatField(allow_null=True)
    acousticness = serializers.FloatField(allow_null=True)
    markets = serializers.ListField(child=serializers.CharField(), help_text="Empty: everywhere.")
    available = serializers.BooleanField(help_text="False: it has been taken down.")
    tags = TagSerializer(many=True)
