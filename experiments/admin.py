from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone

from common.admin import ReadOnlyAdmin
from experiments.engagement.charts import chart, written
from experiments.models import Engagement, RollUp, Slate
from experiments.selectors import engagement_by

TOLD_APART = {"strategy": "strategy", "model_version": "version", "placement": "placement"}
PERIODS = {"28": "4 weeks", "91": "13 weeks", "364": "a year"}
RATES = {
    "ctr": ("Click-through", "share", "Clicks of the tracks that were seen"),
    "completion_rate": ("Completion", "share", "Plays that were heard to the end"),
    "skip_rate": ("Skips", "share", "Plays that the listener ended within 30 seconds"),
    "listened_ms_per_slate": ("Listening time", "seconds", "Of the tracks of a slate"),
    "return_rate_1": ("Back on the next day", "share", "Of the listeners of a day"),
    "return_rate_7": ("Back within seven days", "share", "Of the listeners of a day"),
}
COUNTED = ("slates", "impressions", "clicks", "plays")
MOST_LINES = 8  # colours that can be told apart


@admin.register(Engagement)
class EngagementAdmin(ReadOnlyAdmin):
    """In the place of a list: a chart for each rate, and the same as a table."""

    class Media:
        css = {"all": ["experiments/quality.css"]}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {**self.admin_site.each_context(request), "title": "Engagement", "media": self.media}
        shown = page(request.GET.get("by", ""), request.GET.get("days", ""))
        return TemplateResponse(request, "experiments/engagement.html", context | shown)


def page(by: str, days: str) -> dict[str, Any]:
    """What is asked for that there is not is the first there is instead."""
    by = by if by in TOLD_APART else "strategy"
    days = days if days in PERIODS else "28"
    end = timezone.now().date()
    begin = end - timedelta(days=int(days) - 1)
    totals = sorted(engagement_by(begin, end, [by]), key=lambda row: -row["slates"])
    shown = [row[by] for row in totals[:MOST_LINES]]
    daily = {(row[by], row["day"]): row for row in engagement_by(begin, end, [by, "day"])}
    all_days = [begin + timedelta(days=n) for n in range(int(days))]
    return {
        "charts": [_chart(rate, by, shown, all_days, daily) for rate in RATES],
        "rows": [_row(row, by, number) for number, row in enumerate(totals)],
        "headings": [title for title, *_ in RATES.values()],
        "choices": [{"key": key, "label": f"by {label}", "chosen": key == by} for key, label in TOLD_APART.items()],
        "periods": [{"key": key, "label": label, "chosen": key == days} for key, label in PERIODS.items()],
        "by": by,
        "days": days,
    }


def _chart(rate: str, by: str, shown: list[str], days: list[date], daily: dict[Any, Any]) -> dict[str, Any]:
    title, form, hint = RATES[rate]
    series = {_name(key, by): {day: daily[key, day][rate] for day in days if (key, day) in daily} for key in shown}
    return {"drawn": chart(title, days, series, form), "hint": hint}


def _row(row: dict[str, Any], by: str, number: int) -> dict[str, Any]:
    return {
        "name": _name(row[by], by),
        "number": number if number < MOST_LINES else None,
        "counts": [f"{row[name]:,}" for name in COUNTED],
        "rates": [_words(row[rate], form) for rate, (_, form, _) in RATES.items()],
    }


def _words(rate: dict[str, float | None], form: str) -> dict[str, str]:
    value, low, high = rate["value"], rate["low"], rate["high"]
    if value is None:
        return {"value": "–", "interval": ""}
    interval = "" if low is None or high is None else f"{written(low, form)} … {written(high, form)}"
    return {"value": written(value, form), "interval": interval}


def _name(key: str, by: str) -> str:
    return key or {"model_version": "without a model", "placement": "not said"}.get(by, "none")


@admin.register(Slate)
class SlateAdmin(ReadOnlyAdmin):
    list_display = ["shown_at", "user", "strategy", "model_version", "placement", "id"]
    list_select_related = ["user"]
    list_filter = ["strategy"]
    search_fields = ["user__username"]
    ordering = ["-shown_at"]


@admin.register(RollUp)
class RollUpAdmin(ReadOnlyAdmin):
    list_display = ["started_at", "status", "detail", "finished_at"]
