"""The page of all versions over time: charts with a point for each version, and the same numbers as a table.

To add a chart, add it to `CHARTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from common.charts import COUNT, NUMBER, SHARE, Chart, PointStyle, Series, Unit
from recommendations.admin.formatting import UNKNOWN, count, duration, moment, size
from recommendations.admin.report import MAIN_METRIC, METRICS, MetricValue, Report, label_of, metric_of
from recommendations.admin.version_facts import TrainingFacts, VersionStatus, version_status
from recommendations.models import ModelArtifact
from recommendations.selectors import recent_versions
from recommendations.version_store import version_in_service

POINT_STYLES = {
    "in_service": PointStyle(radius=5.5, color="q-better"),
    "published": PointStyle(radius=3.5),
    "held_back": PointStyle("crossRot", radius=5, color="q-worse"),
    "waiting": PointStyle(radius=3.5, filled=False),
}
SECONDS = Unit(duration, suffix=" s")
BYTES = Unit(size, divisor=1e6, suffix=" MB")


@dataclass(frozen=True)
class HistoryVersion:
    """One version of the page. `quality` and `popular` are the chosen metric, of the version and of most popular."""

    artifact: ModelArtifact
    status: VersionStatus
    facts: TrainingFacts
    quality: MetricValue | None
    popular: MetricValue | None


@dataclass(frozen=True)
class HistoryChart:
    """A chart of one number, or two, of each version. `values` reads each number from a version, by its label."""

    name: str
    title: str
    unit: Unit
    values: dict[str, Callable[[HistoryVersion], float | None]]


CHARTS = [
    HistoryChart(
        "plays",
        "Plays",
        COUNT,
        {"Plays": lambda v: v.artifact.plays, "Listener–track pairs": lambda v: v.facts.pairs},
    ),
    HistoryChart(
        "catalogue",
        "Listeners and tracks",
        COUNT,
        {"Listeners": lambda v: v.artifact.users, "Tracks": lambda v: v.artifact.items},
    ),
    HistoryChart(
        "duration",
        "Duration",
        SECONDS,
        {"Whole run": lambda v: v.facts.seconds, "Training": lambda v: v.facts.training_seconds},
    ),
    HistoryChart("memory", "Peak memory", BYTES, {"Peak memory of the run": lambda v: v.facts.peak_memory}),
]


def quality_history(metric: str) -> dict[str, Any]:
    """Return the context of the page.

    Args:
        metric: the key of the metric of the first chart, like "recall@10"; NDCG@10 if no version has that metric.
    """
    artifacts, serving = recent_versions(), version_in_service()
    reports = [Report.of(artifact) for artifact in artifacts]
    keys = {key for report in reports for key in report.metrics()}
    choices = [key for name in METRICS for key in (f"{name}@10", name) if key in keys]
    metric = metric if metric in choices else MAIN_METRIC
    versions = [
        HistoryVersion(
            artifact,
            version_status(artifact, serving),
            TrainingFacts.of(artifact),
            report.metrics().get(metric),
            report.metrics("most_popular").get(metric),
        )
        for artifact, report in zip(artifacts, reports, strict=True)
    ]
    rows = [_table_row(version, metric) for version in versions]
    return {
        "charts": _charts(versions, rows, metric),
        "rows": rows[::-1],  # the newest first
        "metrics": [{"key": key, "label": label_of(key), "chosen": key == metric} for key in choices],
        "metric": metric_of(metric),
    }


def _charts(versions: list[HistoryVersion], rows: list[dict[str, Any]], metric: str) -> list[Chart]:
    points = [POINT_STYLES[version.status.key] for version in versions]

    def chart(name: str, title: str, unit: Unit, series: list[Series], *, from_zero: bool = True) -> Chart:
        return Chart(
            name,
            title,
            [f"{version.artifact.created_at:%-d %b}" for version in versions],
            series,
            unit,
            empty_text="Not recorded for any of these versions.",
            from_zero=from_zero,
            links=[row["url"] for row in rows],
            tooltips=[
                [row["version"], f"{row['status'].label} · trained {row['trained']}"]
                + [f"{label}: {text}" for label, text in row["numbers"].items()]
                for row in rows
            ],
        )

    quality = Series(
        label_of(metric),
        [version.quality.mean if version.quality else None for version in versions],
        low=[version.quality.low if version.quality else None for version in versions],
        high=[version.quality.high if version.quality else None for version in versions],
        points=points,
    )
    popular = Series(
        "Most popular",
        [version.popular.mean if version.popular else None for version in versions],
        color="q-1",
        dashed=True,
    )
    unit = SHARE if metric_of(metric).form.endswith("%") else NUMBER
    charts = [chart("quality", label_of(metric), unit, [quality, popular], from_zero=False)]
    for registered in CHARTS:
        series = [
            Series(label, [value(version) for version in versions], points=points)
            if number == 0
            else Series(label, [value(version) for version in versions], color="q-1", dashed=True)
            for number, (label, value) in enumerate(registered.values.items())
        ]
        charts.append(chart(registered.name, registered.title, registered.unit, series))
    return charts


def _table_row(version: HistoryVersion, metric: str) -> dict[str, Any]:
    artifact, facts, form = version.artifact, version.facts, metric_of(metric).form
    quality, popular = version.quality, version.popular
    return {
        "version": artifact.version,
        "url": reverse("admin:recommendations_modelartifact_change", args=[artifact.pk]),
        "status": version.status,
        "trained": moment(artifact.created_at),
        "numbers": {
            label_of(metric): f"{quality.mean:{form}}" if quality else UNKNOWN,
            "95 % interval": (quality.interval(form) if quality else "") or UNKNOWN,
            "Most popular": f"{popular.mean:{form}}" if popular else UNKNOWN,
            "Plays": count(artifact.plays),
            "Pairs": count(facts.pairs),
            "Listeners": count(artifact.users),
            "Tracks": count(artifact.items),
            "Duration": duration(facts.seconds),
            "Memory": size(facts.peak_memory),
        },
    }
