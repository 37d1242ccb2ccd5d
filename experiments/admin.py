"""Admin of engagement: a page of charts and a table, and the rows behind it."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone

from common.admin import ReadOnlyAdmin
from common.charts import SHARE, Chart, Series, Unit
from experiments.models import Engagement, RollUp, Slate
from experiments.selectors import engagement_by


@dataclass(frozen=True)
class RateChart:
    """A rate that the page shows: its title, an explanation and how its values are written."""

    title: str
    hint: str
    unit: Unit


PERCENT = Unit(lambda value: f"{100 * value:.4g} %", SHARE.divisor, SHARE.suffix)
MILLISECONDS = Unit(lambda value: f"{value / 1000:,.4g} s", 1000, " s")
# To add a chart and its column of the table, add a rate of `experiments.selectors` here.
RATES = {
    "ctr": RateChart("Click-through", "Clicks per track that was seen", PERCENT),
    "completion_rate": RateChart("Completion", "Plays that were heard to the end", PERCENT),
    "skip_rate": RateChart("Skips", "Plays that the listener ended within 30 seconds", PERCENT),
    "listened_ms_per_slate": RateChart("Listening time", "Time spent with the tracks of a slate", MILLISECONDS),
    "return_rate_1": RateChart("Back on the next day", "Share of the listeners of a day", PERCENT),
    "return_rate_7": RateChart("Back within seven days", "Share of the listeners of a day", PERCENT),
}
DIMENSIONS = {"strategy": "strategy", "model_version": "version", "placement": "placement"}
PERIODS = {"28": "4 weeks", "91": "13 weeks", "364": "a year"}
COUNTS = ("slates", "impressions", "clicks", "plays")
MAX_LINES = 8  # people can distinguish about this many colours


@admin.register(Engagement)
class EngagementAdmin(ReadOnlyAdmin):
    """An admin page with a chart of each rate and a table of totals instead of the list of rows."""

    class Media:
        css = {"all": ["common/admin_pages.css"]}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": "Engagement", "media": self.media}
        context |= engagement_page(request.GET.get("by", ""), request.GET.get("days", ""))
        return TemplateResponse(request, "experiments/engagement.html", context)


def engagement_page(dimension: str, days: str) -> dict[str, Any]:
    """Return the context of the page. Unknown values fall back to strategies, and to four weeks."""
    dimension = dimension if dimension in DIMENSIONS else "strategy"
    days = days if days in PERIODS else "28"
    end = timezone.now().date()
    begin = end - timedelta(days=int(days) - 1)
    totals = sorted(engagement_by(begin, end, [dimension]), key=lambda row: -row["slates"])
    daily = {(row[dimension], row["day"]): row for row in engagement_by(begin, end, [dimension, "day"])}
    lines = [row[dimension] for row in totals[:MAX_LINES]]
    all_days = [begin + timedelta(days=n) for n in range(int(days))]
    return {
        "charts": [_chart(rate, dimension, lines, all_days, daily) for rate in RATES],
        "rows": [_table_row(row, dimension, number) for number, row in enumerate(totals)],
        "headings": [chart.title for chart in RATES.values()],
        "dimensions": [
            {"key": key, "label": f"by {label}", "selected": key == dimension} for key, label in DIMENSIONS.items()
        ],
        "periods": [{"key": key, "label": label, "selected": key == days} for key, label in PERIODS.items()],
        "dimension": dimension,
        "days": days,
    }


def _chart(rate: str, dimension: str, lines: list[str], days: list[date], daily: dict[Any, Any]) -> Chart:
    no_rate = {rate: {"value": None, "low": None, "high": None}}
    series = []
    for number, line in enumerate(lines):
        rates = [daily.get((line, day), no_rate)[rate] for day in days]
        series.append(
            Series(
                _display_name(line, dimension),
                [estimate["value"] for estimate in rates],
                low=[estimate["low"] for estimate in rates],
                high=[estimate["high"] for estimate in rates],
                color=f"tag-{number}",
            )
        )
    chart = RATES[rate]
    labels = [f"{day:%-d %b}" for day in days]
    return Chart(rate, chart.title, labels, series, chart.unit, hint=chart.hint, empty_text="Not counted yet.")


def _table_row(row: dict[str, Any], dimension: str, number: int) -> dict[str, Any]:
    return {
        "name": _display_name(row[dimension], dimension),
        "color": f"tag-{number}" if number < MAX_LINES else None,
        "counts": [f"{row[name]:,}" for name in COUNTS],
        "rates": [_rate_texts(row[rate], chart.unit) for rate, chart in RATES.items()],
    }


def _rate_texts(rate: dict[str, float | None], unit: Unit) -> dict[str, str]:
    value, low, high = rate["value"], rate["low"], rate["high"]
    if value is None:
        return {"value": "–", "interval": ""}
    interval = "" if low is None or high is None else f"{unit.format(low)} … {unit.format(high)}"
    return {"value": unit.format(value), "interval": interval}


def _display_name(key: str, dimension: str) -> str:
    return key or {"model_version": "without a model", "placement": "not specified"}.get(dimension, "none")


@admin.register(Slate)
class SlateAdmin(ReadOnlyAdmin):
    list_display = ["shown_at", "user", "strategy", "model_version", "policy", "placement", "id"]
    list_select_related = ["user"]
    list_filter = ["strategy"]
    search_fields = ["user__username"]
    ordering = ["-shown_at"]


@admin.register(RollUp)
class RollUpAdmin(ReadOnlyAdmin):
    list_display = ["started_at", "status", "detail", "finished_at"]
