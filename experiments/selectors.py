"""Read engagement: rates with 95 % intervals, by day, strategy, model version or placement."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

from experiments.engagement.aggregate import COUNTS
from experiments.engagement.ratio_metrics import PROPORTIONS, RATIOS, Moments, RateEstimate, wilson_interval
from experiments.models import Engagement

DIMENSIONS = ("day", "strategy", "model_version", "placement")
SUMS = (*COUNTS, "listeners")


def engagement_by(begin: date, end: date, dimensions: Sequence[str]) -> list[dict[str, Any]]:
    """Return sums and rates of the days from `begin` to `end`, a row for each combination of the dimensions.

    `listeners` adds up days and groups, so a listener of two days counts twice.
    """
    groups: dict[tuple[Any, ...], list[Engagement]] = defaultdict(list)
    for row in Engagement.objects.filter(day__range=(begin, end)):
        groups[tuple(getattr(row, name) for name in dimensions)].append(row)
    return [dict(zip(dimensions, key, strict=True)) | sum_engagement(groups[key]) for key in sorted(groups)]


def sum_engagement(rows: Sequence[Engagement]) -> dict[str, Any]:
    """Return the sums of several rows, and their rates."""
    sums: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in SUMS}
    rates = {}
    for rate in RATIOS:
        moments = Moments.combine(Moments(*row.moments.get(rate, ())) for row in rows)
        rates[rate] = moments.rate(proportion=rate in PROPORTIONS)
    rates |= {"return_rate_1": _return_rate(rows, 1), "return_rate_7": _return_rate(rows, 7)}
    return sums | {name: asdict(rate) for name, rate in rates.items()}


def _return_rate(rows: Sequence[Engagement], days: int) -> RateEstimate:
    """Return the share of listeners who came back within `days`, of days that were long enough ago when counted."""
    complete = [row for row in rows if row.day + timedelta(days=days) < row.updated_at.date()]
    returned = sum(getattr(row, f"returned_{days}") for row in complete)
    return wilson_interval(returned, sum(row.listeners for row in complete))
