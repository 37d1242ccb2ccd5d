"""What the gate decided about a version, and what the ensemble was chosen from, as the page of the version shows them.

Both are read from the manifest of any release, so that what is missing is left out.
"""

from dataclasses import dataclass
from typing import Any

from recommendations.admin.formatting import UNKNOWN, format_count, format_duration
from recommendations.admin.report import MAIN_METRIC, Report, as_dict, metric_label
from recommendations.models import ModelArtifact

COMPARED_WITH = {
    "popular": "most popular tracks",
    "recipe": "the recipe in service, fitted on the same past",
    "version": "the version in service, on the same plays",
    "report": "the report of the version in service",
}


@dataclass(frozen=True)
class GateNumber:
    """A number that the gate decided by."""

    name: str
    value: str


@dataclass(frozen=True)
class TriedFamily:
    """An ensemble that a training run tried before it chose one."""

    algorithm: str
    score: str
    duration: str
    note: str
    was_in_service: bool


def gate_numbers(artifact: ModelArtifact) -> list[GateNumber]:
    """Return the numbers of the gate's decision; none if nothing was compared."""
    gate = as_dict(as_dict(artifact.manifest).get("gate"))
    difference, total = as_dict(gate.get("difference")), as_dict(gate.get("sum"))
    if not difference:
        return []
    label = metric_label(MAIN_METRIC, Report.from_artifact(artifact).question)
    numbers = [
        GateNumber("Compared with", COMPARED_WITH.get(str(gate.get("compared_with")), UNKNOWN)),
        GateNumber("Listeners", format_count(gate.get("listeners"))),
        GateNumber(f"Difference in {label}", _signed(difference.get("mean"))),
        GateNumber("Standard error", _unsigned(difference.get("standard_error"))),
        GateNumber("95 % interval", _interval(difference)),
    ]
    if total and (gate.get("versions") or 0) > 1:
        name = f"Sum over the last {gate['versions']} versions of this recipe"
        numbers += [GateNumber(name, _signed(total.get("mean"))), GateNumber("Its 95 % interval", _interval(total))]
    return numbers


def choice_reason(artifact: ModelArtifact) -> str:
    """Return why the training run chose this ensemble; "" if it did not choose."""
    return str(as_dict(as_dict(artifact.manifest).get("choice")).get("reason", ""))


def tried_families(artifact: ModelArtifact) -> list[TriedFamily]:
    """Return what the training run tried before it chose the ensemble, the best first."""
    attempts = as_dict(as_dict(artifact.manifest).get("choice")).get("tried")
    tried = [as_dict(attempt) for attempt in attempts] if isinstance(attempts, list) else []
    compared_with = Report.from_artifact(artifact).compared_with
    in_service = ModelArtifact.objects.filter(version=compared_with).first() if tried and compared_with else None
    config = as_dict(as_dict(in_service.manifest).get("config")) if in_service else {}
    tried.sort(key=lambda attempt: -(attempt.get("score") or 0))
    return [
        TriedFamily(
            str(attempt.get("algorithm", UNKNOWN)),
            _unsigned(attempt.get("score")),
            format_duration(attempt.get("seconds")),
            str(attempt.get("note", "")),
            was_in_service=_contains(config, as_dict(attempt.get("recipe"))),
        )
        for attempt in tried
    ]


def _contains(config: dict[str, Any], recipe: dict[str, Any]) -> bool:
    """Return whether a training configuration has this recipe; one that was not recorded is in none."""
    return bool(recipe) and config == config | recipe


def _signed(value: Any) -> str:
    return f"{value:+.4f}" if isinstance(value, float | int) else UNKNOWN


def _unsigned(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float | int) else UNKNOWN


def _interval(difference: dict[str, Any]) -> str:
    return f"{_signed(difference.get('low'))} to {_signed(difference.get('high'))}"
