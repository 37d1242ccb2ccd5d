"""Recipe: which families a version is made of, with which hyperparameters, and how they are blended."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.confidence import ConfidenceWeights
from engine.models import FAMILIES
from engine.models.als import ALS
from engine.models.base import Trainer


@dataclass(frozen=True)
class ComponentConfig:
    """One family. damping: its scores are divided by (listeners of the track)^damping, against what is popular."""

    trainer: Trainer = field(default_factory=ALS)
    confidence: ConfidenceWeights = field(default_factory=ConfidenceWeights)
    damping: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `Part.parse` reads it."""
        hyperparameters = {"family": self.trainer.family, **asdict(self.trainer)}
        return hyperparameters | {"confidence": self.confidence.to_dict(), "damping": self.damping}

    @classmethod
    def from_dict(cls, parameters: dict[str, Any]) -> ComponentConfig:
        """Raises ValueError, naming what is wrong."""
        given = dict(parameters)
        family, confidence = given.pop("family", None), given.pop("confidence", {})
        damping = given.pop("damping", 0.0)
        if family not in FAMILIES:
            raise ValueError(f"family: {family!r} is not one of {', '.join(FAMILIES)}")
        try:
            return cls(FAMILIES[family](**given), ConfidenceWeights(**confidence), float(damping))
        except TypeError as error:
            raise ValueError(f"{family}: {error}") from error


@dataclass(frozen=True)
class BlendWeights:
    """Weights of the parts, for listeners with fewer than `boundary` distinct tracks and for the others."""

    few: tuple[float, ...]
    many: tuple[float, ...]
    boundary: int = 0

    @classmethod
    def equal(cls, parts: int) -> BlendWeights:
        return cls((1 / parts,) * parts, (1 / parts,) * parts)

    def for_listeners(self, tracks: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 (listeners, parts) for listeners with so many distinct tracks, int64 (listeners,)."""
        return np.where((tracks < self.boundary)[:, None], self.few, self.many).astype(np.float32)


@dataclass(frozen=True)
class EnsembleConfig:
    """One part, or several and the weights of their standardised scores."""

    components: tuple[ComponentConfig, ...] = field(default_factory=lambda: (ComponentConfig(),))
    weights: BlendWeights = BlendWeights((), ())  # none given: even ones

    def __post_init__(self) -> None:
        if not self.components:
            raise ValueError("parts: a recipe needs at least one")
        if self.weights == BlendWeights((), ()):
            object.__setattr__(self, "weights", BlendWeights.equal(len(self.components)))
        if {len(self.weights.few), len(self.weights.many)} != {len(self.components)}:
            raise ValueError("weights: as many as there are parts")

    @property
    def algorithm(self) -> str:
        """The families, as in "ials+rp3beta"."""
        return "+".join(part.trainer.family for part in self.components)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `Recipe.parse` reads it."""
        w = self.weights
        weights = {"few": list(w.few), "many": list(w.many), "boundary": w.boundary}
        return {"parts": [part.to_dict() for part in self.components], "weights": weights}

    @classmethod
    def from_dict(cls, parameters: dict[str, Any]) -> EnsembleConfig:
        """Raises ValueError, naming what is wrong."""
        try:
            parts = tuple(ComponentConfig.from_dict(p) for p in parameters["parts"])
            w = parameters["weights"]
            return cls(parts, BlendWeights(tuple(w["few"]), tuple(w["many"]), int(w["boundary"])))
        except (KeyError, TypeError) as error:
            raise ValueError(f"recipe: {error!r}") from error
