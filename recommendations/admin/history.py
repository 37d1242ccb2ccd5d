"""The page of all versions over time: charts with a point for each version, and the same numbers as a table.

To add a chart, add it to `CHARTS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from common.charts import COUNT, NUMBER, SHARE, Chart, PointStyle, Series, Unit
from engine.evaluation.questions import QUESTIONS
from recommendations.admin.formatting import UNKNOWN, format_count, format_duration, format_size, format_time
from recommendations.admin.next_track import next_track_recall
from recommendations.admin.report import (
    MAIN_METRIC,
    METRICS,
    QUESTION_TITLES,
    MetricValue,
    Report,
    metric_info,
    metric_label,
)
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
SECONDS = Unit(format_duration, suffix=" s")
BYTES = Unit(format_size, divisor=1e6, suffix=" MB")


@dataclass(frozen=True)
class HistoryVersion:
    """One version of the page. `quality` and `popular` are the selected metric, of the version and of most popular."""

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
        "next_track",
        "Recall@20 of the next track",
        NUMBER,
        {
            "Sequence model": lambda v: next_track_recall(v.artifact),
            "Best simple model": lambda v: next_track_recall(v.artifact, is_simple=True),
        },
    ),
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


def quality_history(metric: str, question: str) -> dict[str, Any]:
    """Return the context of the page.

    Args:
        metric: the key of the metric of the first chart, like "recall@10"; NDCG@10 if no version has that metric.
        question: one of `QUESTIONS`; MUSICREC_QUESTION if it is not one.
    """
    artifacts, serving = recent_versions(), version_in_service()
    question = question if question in QUESTIONS else settings.MUSICREC["QUESTION"]
    reports = [Report.from_artifact(artifact, question) for artifact in artifacts]
    keys = {key for report in reports for key in report.metrics()}
    choices = [key for name in METRICS for key in (f"{name}@10", name) if key in keys]
    metric = metric if metric in choices else MAIN_METRIC
    versions = [
        HistoryVersion(
            artifact,
            version_status(artifact, serving),
            TrainingFacts.from_artifact(artifact),
            report.metrics().get(metric),
            report.metrics("most_popular").get(metric),
        )
        for artifact, report in zip(artifacts, reports, strict=True)
    ]
    label = metric_label(metric, question)
    rows = [_table_row(version, metric, label) for version in versions]
    return {
        "charts": _charts(versions, rows, metric, label),
        "rows": rows[::-1],  # the newest first
        "metrics": [{"key": key, "label": metric_label(key), "selected": key == metric} for key in choices],
        "metric": metric_info(metric),
        "questions": [
            {"key": key, "label": title, "meaning": meaning, "selected": key == question}
            for key, (title, meaning) in QUESTION_TITLES.items()
        ],
    }


def _charts(versions: list[HistoryVersion], rows: list[dict[str, Any]], metric: str, label: str) -> list[Chart]:
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
                + [f"{name}: {text}" for name, text in row["numbers"].items()]
                for row in rows
            ],
        )

    quality = Series(
        label,
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
    unit = SHARE if metric_info(metric).format_spec.endswith("%") else NUMBER
    charts = [chart("quality", label, unit, [quality, popular], from_zero=False)]
    for history_chart in CHARTS:
        series = [
            Series(name, [value(version) for version in versions], points=points)
            if number == 0
            else Series(name, [value(version) for version in versions], color="q-1", dashed=True)
            for number, (name, value) in enumerate(history_chart.values.items())
        ]
        charts.append(chart(history_chart.name, history_chart.title, history_chart.unit, series))
    return charts


def _table_row(version: HistoryVersion, metric: str, label: str) -> dict[str, Any]:
    artifact, facts, format_spec = version.artifact, version.facts, metric_info(metric).format_spec
    next_track = next_track_recall(artifact)
    quality, popular = version.quality, version.popular
    return {
        "version": artifact.version,
        "url": reverse("admin:recommendations_modelartifact_change", args=[artifact.pk]),
        "status": version.status,
        "trained": format_time(artifact.created_at),
        "numbers": {
            label: f"{quality.mean:{format_spec}}" if quality else UNKNOWN,
            "95 % interval": (quality.format_interval(format_spec) if quality else "") or UNKNOWN,
            "Most popular": f"{popular.mean:{format_spec}}" if popular else UNKNOWN,
            "Next track": f"{next_track:.4f}" if next_track is not None else UNKNOWN,
            "Plays": format_count(artifact.plays),
            "Pairs": format_count(facts.pairs),
            "Listeners": format_count(artifact.users),
            "Tracks": format_count(artifact.items),
            "Duration": format_duration(facts.seconds),
            "Memory": format_size(facts.peak_memory),
        },
    }
