"""The page of all versions: a point for each version in each chart, and the same as a table."""

from typing import Any

from django.urls import reverse

from recommendations.admin.formatting import UNKNOWN, count, duration, moment, size
from recommendations.admin.report import MAIN_METRIC, METRICS, Report, label_of, metric_of
from recommendations.admin.version_facts import TrainingFacts, version_status
from recommendations.models import ModelArtifact
from recommendations.selectors import recent_versions
from recommendations.version_store import current_pointer

Shown = dict[str, Any]


def history(wanted: str) -> dict[str, Any]:
    """wanted: the key of the metric of the quality chart; one that no version has is NDCG@10 instead."""
    artifacts, pointer = recent_versions(), current_pointer()
    reports = {artifact.version: Report.of(artifact) for artifact in artifacts}
    metrics = _offered(list(reports.values()))
    key = wanted if wanted in metrics else MAIN_METRIC
    serving = pointer.version if pointer else None
    versions = [_version(artifact, reports[artifact.version], key, serving) for artifact in artifacts]
    return {
        "versions": versions,
        "table": versions[::-1],
        "charts": charts(key),
        "drawn": {"charts": charts(key), "versions": versions},
        "metrics": [{"key": m, "label": label_of(m), "chosen": m == key} for m in metrics],
        "metric": metric_of(key),
    }


def charts(key: str) -> list[Shown]:
    """What is drawn; each series names its number in `values`, and the bounds of that where it has some."""
    quality = {"key": "quality", "label": label_of(key), "low": "low", "high": "high"}
    return [
        _chart("quality", label_of(key), quality, {"key": "popular", "label": "Most popular"})
        | {"form": "share" if metric_of(key).form.endswith("%") else "number"},
        _chart("plays", "Plays", {"key": "plays", "label": "Plays"}, {"key": "pairs", "label": "Listener–track pairs"}),
        _chart(
            "catalogue",
            "Listeners and tracks",
            {"key": "users", "label": "Listeners"},
            {"key": "items", "label": "Tracks"},
        ),
        _chart(
            "duration", "Duration", {"key": "seconds", "label": "Whole run"}, {"key": "training", "label": "Training"}
        )
        | {"form": "seconds"},
        _chart("memory", "Peak memory", {"key": "memory", "label": "Peak memory of the run"}) | {"form": "bytes"},
    ]


def _chart(name: str, title: str, *series: Shown) -> Shown:
    return {"name": name, "title": title, "form": "number", "series": list(series)}


def _offered(reports: list[Report]) -> list[str]:
    """Keys of the metrics at ten, or at no K, that any version has."""
    found = {key for report in reports for key in report.metrics()}
    return [key for name in METRICS for key in (f"{name}@10", name) if key in found]


def _version(artifact: ModelArtifact, report: Report, key: str, serving: str | None) -> Shown:
    """values: numbers to draw; says: the same in words, under the headings of the table."""
    stands, making = version_status(artifact, serving), TrainingFacts.of(artifact)
    quality, popular = report.metrics().get(key), report.metrics("most_popular").get(key)
    form = metric_of(key).form
    values: dict[str, float | None] = {
        "quality": quality.mean if quality else None,
        "low": quality.low if quality else None,
        "high": quality.high if quality else None,
        "popular": popular.mean if popular else None,
        "plays": artifact.plays,
        "pairs": making.pairs,
        "users": artifact.users,
        "items": artifact.items,
        "seconds": making.seconds,
        "training": making.training_seconds,
        "memory": making.peak_memory,
    }
    return {
        "version": artifact.version,
        "url": reverse("admin:recommendations_modelartifact_change", args=[artifact.pk]),
        "standing": stands.key,
        "standing_label": stands.label,
        "trained": moment(artifact.created_at),
        "values": values,
        "says": {
            label_of(key): f"{quality.mean:{form}}" if quality else UNKNOWN,
            "95 % interval": (quality.interval(form) if quality else "") or UNKNOWN,
            "Most popular": f"{popular.mean:{form}}" if popular else UNKNOWN,
            "Plays": count(values["plays"]),
            "Pairs": count(values["pairs"]),
            "Listeners": count(values["users"]),
            "Tracks": count(values["items"]),
            "Duration": duration(values["seconds"]),
            "Memory": size(values["memory"]),
        },
    }
