"""What a version's report says about the next track of later sessions, and what the gate made of it.

Both are read from the manifest of any release, so that what is missing is left out.
"""

from dataclasses import dataclass
from typing import Any

from engine.evaluation.sequences import MRR, RECALL, WITH_SESSION, WITHOUT_SESSION
from recommendations.admin.formatting import UNKNOWN, format_count
from recommendations.admin.report import MetricValue, as_dict
from recommendations.models import ModelArtifact

TITLES = {
    "model": "Sequence model",
    "in_service": "That of the version in service then",
    WITH_SESSION: "Slates that count the session",
    WITHOUT_SESSION: "Slates that do not",
}
OUTCOMES = {
    "published": "The sequence model belongs to the version",
    "left_out": "The version has no sequence model, so its slates do not count the current session",
    "held_back": "The version was held back because of its sequence model",
}


@dataclass(frozen=True)
class NextTrackRow:
    """The metrics of one model.

    Attributes:
        title: of the model.
        recall: Recall@20.
        mrr: MRR@20.
        difference: that of the first model to this one in Recall@20, with its 95 % interval.
        by_length: Recall@20 by the number of plays before, in the order of `NextTrackTable.lengths`.
    """

    title: str
    recall: str
    mrr: str
    difference: str
    by_length: list[str]


@dataclass(frozen=True)
class NextTrackTable:
    """Models that were compared on the same plays.

    Attributes:
        size: a description of these plays.
        lengths: of the plays before, such as "3-4".
        rows: one for each model.
    """

    size: str
    lengths: list[str]
    rows: list[NextTrackRow]

    @classmethod
    def parse(cls, content: Any) -> "NextTrackTable | None":
        """Read what `evaluate_sequences` returned; None without models."""
        report = as_dict(content)
        models = {name: as_dict(metrics) for name, metrics in as_dict(report.get("models")).items()}
        if not models:
            return None
        lengths = list(as_dict(next(iter(models.values())).get("by_prefix_length")))
        size = f"{format_count(report.get('plays'))} plays of {format_count(report.get('sessions'))} sessions"
        rows = [
            NextTrackRow(
                TITLES.get(name, name.capitalize()),
                _text(metrics.get(RECALL)),
                _text(metrics.get(MRR)),
                _difference(as_dict(report.get("differences")).get(name)),
                [_text(as_dict(as_dict(metrics.get("by_prefix_length")).get(n)).get(RECALL)) for n in lengths],
            )
            for name, metrics in models.items()
        ]
        return cls(size, lengths, rows)


def next_track_context(artifact: ModelArtifact) -> dict[str, Any]:
    """Return the context of the section about the next track: the tables, and the outcome with its reason."""
    manifest = as_dict(artifact.manifest)
    report, gate = next_track_report(artifact), as_dict(manifest.get("sequence_gate"))
    tables = [NextTrackTable.parse(report), NextTrackTable.parse(report.get("served"))]
    return {
        "next_track_tables": [table for table in tables if table],
        "next_track_outcome": OUTCOMES.get(str(gate.get("outcome")), ""),
        "next_track_reason": str(gate.get("reason", "")),
    }


def next_track_report(artifact: ModelArtifact) -> dict[str, Any]:
    return as_dict(as_dict(as_dict(artifact.manifest).get("report")).get("next_track"))


def next_track_recall(artifact: ModelArtifact, is_simple: bool = False) -> float | None:
    """Return Recall@20 of the sequence model of a version, or of the best simple model beside it; None if unknown."""
    models = as_dict(next_track_report(artifact).get("models"))
    recalls = {name: MetricValue.parse(as_dict(metrics).get(RECALL)) for name, metrics in models.items()}
    simple = [value.mean for name, value in recalls.items() if value and name not in TITLES]
    if is_simple:
        return max(simple, default=None)
    model = recalls.get("model")
    return model.mean if model else None


def _text(value: Any) -> str:
    number = MetricValue.parse(value)
    return f"{number.mean:.4f}" if number else UNKNOWN


def _difference(interval: Any) -> str:
    value = MetricValue.parse(interval)
    if value is None:
        return ""
    return f"{value.format_difference('.4f')} ({value.format_difference_interval('.4f')})"
