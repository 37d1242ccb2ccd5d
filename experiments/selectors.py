"""What came of what was shown, as rates with intervals."""

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
Row = dict[str, Any]


def engagement_by(begin: date, end: date, by: Sequence[str]) -> list[Row]:
    """A row for each combination of `by`, of `DIMENSIONS`, in the days from `begin` to `end`: sums, and rates with
    their intervals. listeners: of each day and group, so that somebody of two days counts twice."""
    groups: dict[tuple[Any, ...], list[Engagement]] = defaultdict(list)
    for row in Engagement.objects.filter(day__range=(begin, end)):
        groups[tuple(getattr(row, name) for name in by)].append(row)
    return [dict(zip(by, key, strict=True)) | sum_engagement(groups[key]) for key in sorted(groups)]


def sum_engagement(rows: Sequence[Engagement]) -> Row:
    """Sums of several rows, and the rates that follow."""
    found: Row = {name: sum(getattr(row, name) for row in rows) for name in SUMS}
    rates = {rate: _ratio(rows, rate) for rate in RATIOS}
    rates |= {"return_rate_1": _returned(rows, 1), "return_rate_7": _returned(rows, 7)}
    return found | {name: asdict(rate) for name, rate in rates.items()}


def _ratio(rows: Sequence[Engagement], rate: str) -> RateEstimate:
    together = Moments.together(Moments(*row.moments.get(rate, ())) for row in rows)
    return together.rate(proportion=rate in PROPORTIONS)


def _returned(rows: Sequence[Engagement], days: int) -> RateEstimate:
    """Of the days that were over for so long when they were counted."""
    over = [row for row in rows if row.day + timedelta(days=days) < row.updated_at.date()]
    return wilson_interval(sum(getattr(row, f"returned_{days}") for row in over), sum(row.listeners for row in over))
