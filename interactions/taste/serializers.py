from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.http.body_serializers import BoundedListField, ReferenceField, StrictSerializer
from common.http.query_parameters import LimitField
from interactions.models import Exclusion, ExclusionKind, SliderKind
from interactions.taste.proposals import PROPOSAL_KINDS
from interactions.taste.services import MAX_TARGETS

EXCLUSION_KINDS = ExclusionKind.values
SLIDER_KINDS = SliderKind.values
# The fields of each kind, in the body and in the answer: required ones first.
_FIELDS_BY_KIND = {
    ExclusionKind.TRACK: ("track_id",),
    ExclusionKind.PLAYLIST: ("context",),
    ExclusionKind.SESSION: ("session_id",),
    ExclusionKind.PERIOD: ("since", "until"),
}
_TARGET_FIELDS = [name for names in _FIELDS_BY_KIND.values() for name in names]


class TasteParameters(serializers.Serializer[Any]):
    limit = LimitField(default=20, help_text="The number of artists, and of tags: 1 to 100.")


class TasteTotalsSerializer(serializers.Serializer[Any]):
    plays = serializers.IntegerField(help_text="Plays that were not skipped, with imported totals.")
    skips = serializers.IntegerField()
    tracks = serializers.IntegerField(help_text="Different tracks among plays and skips.")
    milliseconds = serializers.IntegerField(help_text="The time listened, as far as players reported it.")
    first = serializers.DateTimeField(allow_null=True)
    last = serializers.DateTimeField(allow_null=True)


class TasteTrackSerializer(serializers.Serializer[Any]):
    track_id = serializers.IntegerField()
    title = serializers.CharField()
    plays = serializers.IntegerField()


class PlayShareSerializer(serializers.Serializer[Any]):
    plays = serializers.IntegerField(help_text="The plays that it rests on.")
    share = serializers.FloatField(help_text="Of all plays of the listener, 0 to 1.")


class SliderSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=SLIDER_KINDS)
    target_id = serializers.IntegerField(help_text="The id of the artist or tag.")
    value = serializers.FloatField(help_text="-1 to 1.")


class SliderRequestSerializer(StrictSerializer):
    value = serializers.FloatField(
        min_value=-1,
        max_value=1,
        help_text="From -1, as little as possible, to 1, as much as possible; 0 removes the slider.",
    )


class TasteArtistSerializer(PlayShareSerializer):
    artist_id = serializers.IntegerField(source="key")
    name = serializers.CharField()
    slider = serializers.FloatField(help_text="How much more, or less, the listener wants of it: -1 to 1.")
    tracks = TasteTrackSerializer(many=True, help_text="The tracks most played, at most three.")


class TasteTagSerializer(PlayShareSerializer):
    tag_id = serializers.IntegerField(source="key")
    name = serializers.CharField()
    slider = serializers.FloatField(help_text="How much more, or less, the listener wants of it: -1 to 1.")
    tracks = TasteTrackSerializer(many=True, help_text="The tracks most played, at most three.")


class TasteEraSerializer(PlayShareSerializer):
    from_year = serializers.IntegerField(source="key", help_text="The first year of the decade.")
    name = serializers.CharField()


class TasteHourSerializer(PlayShareSerializer):
    hour = serializers.IntegerField(source="key", help_text="0 to 23, UTC.")


@extend_schema_serializer(component_name="ExclusionTarget")
class ExclusionTargetSerializer(StrictSerializer):
    """What to leave out: a kind, and the fields of that kind."""

    kind = serializers.ChoiceField(choices=EXCLUSION_KINDS)
    track_id = ReferenceField(required=False, help_text="Of a `track`.")
    context = serializers.CharField(  # type: ignore[assignment]
        max_length=64, trim_whitespace=False, required=False, help_text="Of a `playlist`: the events' `context`."
    )
    session_id = serializers.CharField(
        max_length=64, trim_whitespace=False, required=False, help_text="Of a `session`, as in its events."
    )
    since = serializers.DateTimeField(
        required=False, help_text="Of a `period`, RFC 3339: events of this time or later."
    )
    until = serializers.DateTimeField(
        required=False, help_text="Of a `period`: only events before this time. Without it the period goes on."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that the fields of the kind, and no others, are there."""
        kind = attrs["kind"]
        required, allowed = _FIELDS_BY_KIND[kind][0], _FIELDS_BY_KIND[kind]
        if required not in attrs:
            raise serializers.ValidationError({required: f"is required for an exclusion of the kind {kind}"})
        if foreign := [name for name in _TARGET_FIELDS if name in attrs and name not in allowed]:
            raise serializers.ValidationError(
                {foreign[0]: f"does not belong to the kind {kind}, which has {', '.join(allowed)}"}
            )
        if "until" in attrs and attrs["until"] <= attrs["since"]:
            raise serializers.ValidationError({"until": "must be later than since"})
        return attrs


class ProposedExclusionSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=EXCLUSION_KINDS)
    track_id = serializers.IntegerField(required=False)
    context = serializers.CharField(required=False)  # type: ignore[assignment]
    session_id = serializers.CharField(required=False)
    since = serializers.DateTimeField(required=False)
    until = serializers.DateTimeField(required=False)


class ProposalSerializer(serializers.Serializer[Any]):
    proposal_id = serializers.CharField()
    kind = serializers.ChoiceField(choices=PROPOSAL_KINDS)
    name = serializers.CharField(help_text="Of the tag, the playlist (its `context`) or the device.")
    text = serializers.CharField(help_text="What was noticed, in English.")
    plays = serializers.IntegerField()
    hour = serializers.IntegerField(help_text="The hour of most of them, 0 to 23, UTC.")
    exclusions = ProposedExclusionSerializer(many=True, help_text="To accept, send these to `…/taste/exclusions`.")


class ProposalsSerializer(serializers.Serializer[Any]):
    proposals = ProposalSerializer(many=True, help_text="The clearest first, at most ten.")


class ExclusionsRequestSerializer(StrictSerializer):
    exclusions = BoundedListField(child=ExclusionTargetSerializer(), min_length=1, max_length=MAX_TARGETS)


class ExclusionSerializer(serializers.Serializer[Exclusion]):
    exclusion_id = serializers.IntegerField(source="pk")
    kind = serializers.ChoiceField(choices=EXCLUSION_KINDS)
    track_id = serializers.IntegerField(allow_null=True)
    context = serializers.SerializerMethodField()  # type: ignore[assignment]
    session_id = serializers.SerializerMethodField()
    since = serializers.DateTimeField(allow_null=True)
    until = serializers.DateTimeField(allow_null=True, help_text="Null while a period goes on.")
    created_at = serializers.DateTimeField()

    def get_context(self, exclusion: Exclusion) -> str | None:
        return exclusion.name if exclusion.kind == ExclusionKind.PLAYLIST else None

    def get_session_id(self, exclusion: Exclusion) -> str | None:
        return exclusion.name if exclusion.kind == ExclusionKind.SESSION else None


class ExclusionsSerializer(serializers.Serializer[Any]):
    exclusions = ExclusionSerializer(many=True, help_text="The latest first.")


class TasteSerializer(serializers.Serializer[Any]):
    totals = TasteTotalsSerializer()
    artists = TasteArtistSerializer(many=True, help_text="The most played first.")
    tags = TasteTagSerializer(many=True, help_text="The most played first. A track has several, so shares overlap.")
    eras = TasteEraSerializer(many=True, help_text="By decade of release, as far as it is known.")
    hours = TasteHourSerializer(many=True, help_text="By hour of the day, UTC, without imported totals.")
    sliders = SliderSerializer(many=True, help_text="All of them, those that ask for most first.")
    exclusions = ExclusionSerializer(many=True, help_text="What is left out, the latest first.")
