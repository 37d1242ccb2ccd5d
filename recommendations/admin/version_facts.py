"""What a version was made from and what it took: the same questions to every version."""

from dataclasses import dataclass
from typing import Any

from recommendations.admin.formatting import UNKNOWN, change, count, day, duration, moment, size
from recommendations.admin.report import Report
from recommendations.models import ModelArtifact, TrainingRun


@dataclass(frozen=True)
class VersionStatus:
    """key: "in_service", "published", "held_back" or "waiting"."""

    key: str
    label: str


def version_status(artifact: ModelArtifact, serving: str | None) -> VersionStatus:
    by_hand = ", the gate overridden" if artifact.gate == ModelArtifact.Gate.HELD_BACK else ""
    if artifact.version == serving:
        return VersionStatus("in_service", f"In service{by_hand}")
    if artifact.published_at:
        return VersionStatus("published", f"Published before{by_hand}")
    return VersionStatus("held_back", "Held back") if by_hand else VersionStatus("waiting", "Not published")


def number(recorded: Any, name: str) -> float | None:
    """What was recorded under this name, where that is a number."""
    value = recorded.get(name) if isinstance(recorded, dict) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class TrainingFacts:
    """The run that trained a version, as far as it is recorded; numbers that are not are None."""

    run: TrainingRun | None
    manifest: dict[str, Any]

    @classmethod
    def of(cls, artifact: ModelArtifact) -> "TrainingFacts":
        """artifact: one of `versions_with_runs`."""
        runs: list[TrainingRun] = getattr(artifact, "trainings", [])
        return cls(runs[0] if runs else None, artifact.manifest if isinstance(artifact.manifest, dict) else {})

    @property
    def seconds(self) -> float | None:
        """Of the whole run."""
        finished = self.run and self.run.finished_at
        return (finished - self.run.started_at).total_seconds() if self.run and finished else None

    @property
    def training_seconds(self) -> float | None:
        """Of judging the configuration and fitting everything."""
        return number(self.run.seconds, "train") if self.run else None

    def part_seconds(self, name: str) -> float | None:
        """Of "judge" or "fit"; a stage of the run that is called judge is the gate's."""
        return number(self.manifest.get("seconds"), name)

    @property
    def peak_memory(self) -> float | None:
        return number(self.manifest, "peak_memory_bytes") or (self.run.peak_memory_bytes if self.run else None)

    @property
    def pairs(self) -> float | None:
        return number(self.manifest, "pairs")


@dataclass(frozen=True)
class VersionFact:
    name: str
    ours: str
    theirs: str = ""
    change: str = ""


def facts(artifact: ModelArtifact, other: ModelArtifact | None) -> list[VersionFact]:
    """Of a version, beside those of another."""
    ours, theirs = _told(artifact), _told(other) if other else {}
    numbers, others = _counted(artifact), _counted(other) if other else {}
    return [VersionFact(n, text, theirs.get(n, ""), change(numbers.get(n), others.get(n))) for n, text in ours.items()]


def _told(artifact: ModelArtifact) -> dict[str, str]:
    making, counted = TrainingFacts.of(artifact), _counted(artifact)
    run, manifest = making.run, making.manifest
    by = [f"by {run.trigger}", run.host] if run else []
    window = f"{day(manifest.get('plays_from'))} to {day(manifest.get('plays_to'))}"
    libraries = manifest.get("libraries")
    return {
        "Trained": ", ".join(filter(None, [moment(artifact.created_at), *by])),
        "Algorithm": artifact.algorithm,
        "Plays from": window,
        **{name: count(counted[name]) for name in ("Plays", "Listener–track pairs", "Listeners", "Tracks")},
        "Judged on": Report.of(artifact).split or "nobody",
        "Whole run": duration(counted["Whole run"]),
        "Judging, fitting": f"{duration(making.part_seconds('judge'))}, {duration(making.part_seconds('fit'))}",
        "Peak memory": size(counted["Peak memory"]),
        "Size on disk": size(counted["Size on disk"]) + (" until it was removed" if artifact.pruned_at else ""),
        "Libraries": ", ".join(f"{n} {v}" for n, v in libraries.items()) if isinstance(libraries, dict) else UNKNOWN,
    }


def _counted(artifact: ModelArtifact) -> dict[str, float | None]:
    making = TrainingFacts.of(artifact)
    return {
        "Plays": artifact.plays,
        "Listener–track pairs": making.pairs,
        "Listeners": artifact.users,
        "Tracks": artifact.items,
        "Whole run": making.seconds,
        "Peak memory": making.peak_memory,
        "Size on disk": artifact.size_bytes,
    }


@dataclass(frozen=True)
class ComparedSetting:
    name: str
    ours: str
    theirs: str


def settings_of(
    artifact: ModelArtifact, other: ModelArtifact | None
) -> tuple[list[ComparedSetting], list[ComparedSetting]]:
    """Those that differ from the other version's, and those that do not; without another, all are of these."""
    ours = _flat(TrainingFacts.of(artifact).manifest.get("config"))
    theirs = _flat(TrainingFacts.of(other).manifest.get("config")) if other else {}
    compared = [ComparedSetting(n, ours.get(n, UNKNOWN), theirs.get(n, UNKNOWN)) for n in sorted(ours | theirs)]
    same = [setting for setting in compared if not other or setting.ours == setting.theirs]
    return [setting for setting in compared if setting not in same], same


def _flat(config: Any, prefix: str = "") -> dict[str, str]:
    """{"parts": [{"factors": 64}]} becomes {"parts.0.factors": "64"}."""
    if isinstance(config, list):
        config = dict(enumerate(config))
    if not isinstance(config, dict):
        return {prefix.removesuffix("."): str(config)} if prefix else {}
    return {name: text for key, value in config.items() for name, text in _flat(value, f"{prefix}{key}.").items()}
