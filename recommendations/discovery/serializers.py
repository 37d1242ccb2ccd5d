"""Query parameters and answers of recommended artists and genres, and of similar artists."""

from typing import Any

from rest_framework import serializers

from common.http.body_serializers import ReferenceField
from common.http.query_parameters import LimitField
from recommendations.api.serializers import FALLBACK_REASONS, ExplanationSerializer
from tracks.audience import AudienceParameters
from tracks.serializers import ArtistCardSerializer, CardSerializer


class RecommendedGenresParameters(AudienceParameters):
    limit = LimitField(default=20)


class RecommendedArtistsParameters(RecommendedGenresParameters):
    exclude_known = serializers.BooleanField(
        default=True, help_text="Leave out the artists of whom the listener has played a track."
    )


class SimilarArtistsParameters(AudienceParameters):
    limit = LimitField(default=10)
    user_id = ReferenceField(
        required=False,
        help_text="For service keys: the listener whose dislikes and blocks apply. A token implies its own listener.",
    )


class _GroupSerializer(serializers.Serializer[Any]):
    score = serializers.FloatField(
        help_text="The relevance of the tracks that decide, from 0; those that they lack count as 0."
    )
    explanation = ExplanationSerializer(help_text="Of the first of the tracks.")
    tracks = CardSerializer(many=True, help_text="The most relevant ones, at most three.")
    position = serializers.IntegerField(help_text="From 1.")


class RecommendedArtistSerializer(ArtistCardSerializer, _GroupSerializer):
    known = serializers.BooleanField(help_text="Whether the listener has played a track of theirs.")


class RecommendedGenreSerializer(_GroupSerializer):
    tag_id = serializers.IntegerField()
    name = serializers.CharField()
    tracks_path = serializers.CharField(help_text="Recommended tracks of the genre.")


class RelatedArtistSerializer(ArtistCardSerializer):
    score = serializers.FloatField(help_text="How near their tracks are, from 0 to 1.")
    tracks = CardSerializer(many=True, help_text="The nearest ones, at most three.")
    position = serializers.IntegerField(help_text="From 1.")


class RelatedArtistsSerializer(serializers.Serializer[Any]):
    generated_at = serializers.DateTimeField()
    model_version = serializers.CharField(allow_null=True)
    degraded = serializers.BooleanField(help_text="Whether it was made without the version that should serve.")
    results = RelatedArtistSerializer(many=True)


class _GroupsSerializer(serializers.Serializer[Any]):
    generated_at = serializers.DateTimeField()
    model_version = serializers.CharField(allow_null=True)
    degraded = serializers.BooleanField(help_text="Whether it was made without the version that should serve.")
    fallback_reason = serializers.ChoiceField(choices=FALLBACK_REASONS, allow_null=True)
    policy = serializers.CharField(help_text="The policy whose sources proposed the tracks.")


class RecommendedArtistsSerializer(_GroupsSerializer):
    results = RecommendedArtistSerializer(many=True)


class RecommendedGenresSerializer(_GroupsSerializer):
    results = RecommendedGenreSerializer(many=True)
