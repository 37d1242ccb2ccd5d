from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from access.models import Scope
from common.http.cursor_pages import PageSerializer, build_page, decode_cursor, invalid_cursor
from common.http.query_parameters import ApiView, parse_parameters
from interactions.charts.selectors import LENGTH, MIN_LISTENERS, load_chart
from tracks.audience import find_audience
from tracks.pages.serializers import RecentTracksParameters, WindowField
from tracks.selectors import track_cards
from tracks.serializers import CardSerializer


class ChartParameters(RecentTracksParameters):
    window = WindowField("7d")


class ChartTrackSerializer(CardSerializer):
    rank = serializers.IntegerField(help_text="From 1.")
    listeners = serializers.IntegerField(
        allow_null=True, help_text=f"How many played it in the window; null for fewer than {MIN_LISTENERS}."
    )


class TrackChartSerializer(PageSerializer):
    results = ChartTrackSerializer(many=True)


class TrackChartView(ApiView):
    schema_tag = "Catalogue"
    required_scope = Scope.TRACKS
    query_parameters: ClassVar = {"get": ChartParameters}

    @extend_schema(operation_id="list_track_chart", responses=TrackChartSerializer)
    def get(self, request: Request) -> Response:
        """List the tracks with the most listeners in the last days."""
        options = parse_parameters(ChartParameters, request.META.get("QUERY_STRING", ""))
        audience = find_audience(request, options["market"], options["explicit"])
        chart = load_chart(options["window"], options.get("genre"), *audience)
        start = find_start(options["cursor"], [track_id for track_id, _ in chart]) if "cursor" in options else 0
        end = start + options["limit"]
        page = chart[start:end]
        cards = track_cards([track_id for track_id, _ in page])
        results = [
            cards[track_id] | {"rank": rank, "listeners": listeners if listeners >= MIN_LISTENERS else None}
            for rank, (track_id, listeners) in enumerate(page, start + 1)
            if track_id in cards  # it may have been deleted since the chart was counted
        ]
        return Response(build_page(request, results, (page[-1][0], end) if end < len(chart) else None))


def find_start(cursor: str, track_ids: list[int]) -> int:
    """Return where a page begins: after the last track of the page before, wherever that stands in the chart now.

    Raises:
        ValidationError: the cursor is not one of a chart.
    """
    last_track, end = decode_cursor(cursor, 2)
    if type(last_track) is not int or type(end) is not int or not 0 < end <= LENGTH:
        raise invalid_cursor()
    return track_ids.index(last_track) + 1 if last_track in track_ids else end
