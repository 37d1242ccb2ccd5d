from datetime import date, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from common.http.query_parameters import parse_parameters
from experiments.engagement.aggregate import COUNTS
from experiments.selectors import DIMENSIONS

MAX_DAYS = 400


class EngagementParameters(serializers.Serializer[Any]):
    """Query parameters. They are declared in a dictionary, because `from` is a Python keyword."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            "from": serializers.DateField(
                required=False, help_text="The first day, UTC; by default 28 days before the last."
            ),
            "to": serializers.DateField(required=False, help_text="The last day, UTC; by default today."),
            "by": serializers.CharField(
                default="strategy", help_text=f"Dimensions to group by, separated by commas: {', '.join(DIMENSIONS)}."
            ),
        }

    @classmethod
    def read(cls, request: Request) -> tuple[date, date, list[str]]:
        """Return the first day, the last day and the dimensions. Raises ValidationError."""
        fields = parse_parameters(cls, request.META.get("QUERY_STRING", ""))
        end = fields.get("to") or timezone.now().date()
        begin = fields.get("from") or max(end, date(2000, 1, 1)) - timedelta(days=28)
        if not begin <= end or (end - begin).days > MAX_DAYS:
            raise ValidationError({"?from": f"must be a day not after `to`, and at most {MAX_DAYS} days before it"})
        dimensions = list(dict.fromkeys(fields["by"].split(",")))
        if unknown := [name for name in dimensions if name not in DIMENSIONS]:
            detail = f"{unknown[0]!r} is not a dimension; choose from {', '.join(DIMENSIONS)}"
            raise ValidationError({"?by": detail})
        return begin, end, dimensions


class RateSerializer(serializers.Serializer[Any]):
    """A rate with its 95 % interval. Null if nothing was counted; no interval for a single listener."""

    value = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)


class EngagementRowSerializer(serializers.Serializer[Any]):
    day = serializers.DateField(required=False)
    strategy = serializers.CharField(required=False)
    model_version = serializers.CharField(required=False)
    placement = serializers.CharField(required=False)
    ctr = RateSerializer(help_text="Clicks per impression.")
    completion_rate = RateSerializer(help_text="Plays that were completed, of all plays.")
    skip_rate = RateSerializer(help_text="Plays that the listener ended within 30 seconds, of all plays.")
    listened_ms_per_slate = RateSerializer()
    return_rate_1 = RateSerializer(help_text="Listeners who were active on the next day.")
    return_rate_7 = RateSerializer(help_text="Listeners who were active within the next seven days.")

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        counts = {name: serializers.IntegerField() for name in (*COUNTS, "listeners")}
        return super().get_fields() | counts


class EngagementSerializer(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        return {
            "from": serializers.DateField(),
            "to": serializers.DateField(),
            "results": EngagementRowSerializer(many=True),
        }
