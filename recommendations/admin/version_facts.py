"""Facts about a version: its status, its training data and the cost of its training, next to those of another one."""

from dataclasses import dataclass
from typing import Any

from recommendations.admin.formatting import (
    UNKNOWN,
    format_change,
    format_count,
    format_day,
    format_duration,
    format_size,
    format_time,
)
from recommendations.admin.report import Report
from recommendations.models import ModelArtifact, TrainingRun


@dataclass(frozen=True)
class VersionStatus:
    """The status of a version; `key` is "in_service", "published", "held_back" or "waiting"."""

    key: str
    label: str


def version_status(artifact: ModelArtifact, serving: str | None) -> VersionStatus:
    overridden = ", the gate overridden" if artifact.gate == ModelArtifact.Gate.HELD_BACK else ""
    if artifact.version == serving:
        return VersionStatus("in_service", f"In service{overridden}")
    if artifact.published_at:
        return VersionStatus("published", f"Published before{overridden}")
    return VersionStatus("held_back", "Held back") if overridden else VersionStatus("waiting", "Not published")


@dataclass(frozen=True)
class TrainingFacts:
    """Numbers of the run that trained a version, from its row and the manifest; None if not recorded."""

    run: TrainingRun | None
    manifest: dict[str, Any]

    @classmethod
    def from_artifact(cls, artifact: ModelArtifact) -> "TrainingFacts":
        """Read the facts of a version that was loaded by `versions_with_runs`."""
        runs: list[TrainingRun] = getattr(artifact, "trainings", [])  # set by prefetch_related()
        return cls(runs[0] if runs else None, artifact.manifest if isinstance(artifact.manifest, dict) else {})

    @property
    def seconds(self) -> float | None:
        """Duration of the whole run."""
        if self.run is None or self.run.finished_at is None:
            return None
        return (self.run.finished_at - self.run.started_at).total_seconds()

    @property
    def training_seconds(self) -> float | None:
        """Duration of the evaluation and the final fit."""
        return _number(self.run.seconds, "train") if self.run else None

    def stage_seconds(self, name: str) -> float | None:
        """Return the duration of "judge" (the evaluation) or "fit", both parts of the stage "train"."""
        return _number(self.manifest.get("seconds"), name)

    @property
    def peak_memory(self) -> float | None:
        return _number(self.manifest, "peak_memory_bytes") or (self.run.peak_memory_bytes if self.run else None)

    @property
    def pairs(self) -> float | None:
        return _number(self.manifest, "pairs")


def _number(recorded: Any, name: str) -> float | None:
    value = recorded.get(name) if isinstance(recorded, dict) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class VersionFact:
    name: str
    value: str
    other: str = ""
    change: str = ""


def version_facts(artifact: ModelArtifact, other: ModelArtifact | None) -> list[VersionFact]:
    """Return the facts of a version, next to those of another one."""
    texts, other_texts = _fact_texts(artifact), _fact_texts(other) if other else {}
    numbers, other_numbers = _fact_numbers(artifact), _fact_numbers(other) if other else {}
    return [
        VersionFact(name, text, other_texts.get(name, ""), format_change(numbers.get(name), other_numbers.get(name)))
        for name, text in texts.items()
    ]


def _fact_texts(artifact: ModelArtifact) -> dict[str, str]:
    facts, numbers = TrainingFacts.from_artifact(artifact), _fact_numbers(artifact)
    run, manifest = facts.run, facts.manifest
    libraries = manifest.get("libraries")
    return {
        "Trained": ", ".join(
            filter(None, [format_time(artifact.created_at), *([f"by {run.trigger}", run.host] if run else [])])
        ),
        "Algorithm": artifact.algorithm,
        "Plays from": f"{format_day(manifest.get('plays_from'))} to {format_day(manifest.get('plays_to'))}",
        **{name: format_count(numbers[name]) for name in ("Plays", "Listener–track pairs", "Listeners", "Tracks")},
        "Evaluated on": Report.from_artifact(artifact).split or "nothing",
        "Whole run": format_duration(numbers["Whole run"]),
        "Evaluation, fit": ", ".join(format_duration(facts.stage_seconds(name)) for name in ("judge", "fit")),
        "Peak memory": format_size(numbers["Peak memory"]),
        "Size on disk": format_size(numbers["Size on disk"]) + (" until it was removed" if artifact.pruned_at else ""),
        "Libraries": ", ".join(f"{n} {v}" for n, v in libraries.items()) if isinstance(libraries, dict) else UNKNOWN,
    }


def _fact_numbers(artifact: ModelArtifact) -> dict[str, float | None]:
    """Return the facts whose relative change is shown."""
    facts = TrainingFacts.from_artifact(artifact)
    return {
        "Plays": artifact.plays,
        "Listener–track pairs": facts.pairs,
        "Listeners": artifact.users,
        "Tracks": artifact.items,
        "Whole run": facts.seconds,
        "Peak memory": facts.peak_memory,
        "Size on disk": artifact.size_bytes,
    }


@dataclass(frozen=True)
class ComparedSetting:
    name: str
    value: str
    other: str


def compare_settings(
    artifact: ModelArtifact, other: ModelArtifact | None
) -> tuple[list[ComparedSetting], list[ComparedSetting]]:
    """Return the settings that differ from the other version's, and those that do not.

    Without another version, all settings are in the second list.
    """
    values = _flatten(TrainingFacts.from_artifact(artifact).manifest.get("config"))
    others = _flatten(TrainingFacts.from_artifact(other).manifest.get("config")) if other else {}
    compared = [
        ComparedSetting(name, values.get(name, UNKNOWN), others.get(name, UNKNOWN)) for name in sorted(values | others)
    ]
    same = [setting for setting in compared if not other or setting.value == setting.other]
    return [setting for setting in compared if setting not in same], same


def _flatten(config: Any, prefix: str = "") -> dict[str, str]:
    """Turn {"parts": [{"factors": 64}]} into {"parts.0.factors": "64"}."""
    if isinstance(config, list):
        config = dict(enumerate(config))
    if isinstance(config, dict):  # an absolute weight of 0 means that the ratio of the same name decides
        config = {key: value for key, value in config.items() if value != 0 or f"{key}_ratio" not in config}
    else:
        text = f"{config:.4g}" if isinstance(config, float) else str(config)
        return {prefix.removesuffix("."): text} if prefix else {}
    return {name: text for key, value in config.items() for name, text in _flatten(value, f"{prefix}{key}.").items()}
