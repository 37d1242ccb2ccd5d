"""Recipe: which families a version is made of, with which hyperparameters, and how they are blended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.user_item_matrix import Confidence
from engine.models import FAMILIES
from engine.models.als import ALS
from engine.models.base import Trainer, described


@dataclass(frozen=True)
class Part:
    """One family. damping: its scores are divided by (listeners of the track)^damping, against what is popular."""

    trainer: Trainer = field(default_factory=ALS)
    confidence: Confidence = field(default_factory=Confidence)
    damping: float = 0.0

    def parameters(self) -> dict[str, Any]:
        """JSON-ready; `Part.parse` reads it."""
        return described(self.trainer) | {"confidence": self.confidence.parameters(), "damping": self.damping}

    @classmethod
    def parse(cls, parameters: dict[str, Any]) -> Part:
        """Raises ValueError, naming what is wrong."""
        given = dict(parameters)
        family, confidence = given.pop("family", None), given.pop("confidence", {})
        damping = given.pop("damping", 0.0)
        if family not in FAMILIES:
            raise ValueError(f"family: {family!r} is not one of {', '.join(FAMILIES)}")
        try:
            return cls(FAMILIES[family](**given), Confidence(**confidence), float(damping))
        except TypeError as error:
            raise ValueError(f"{family}: {error}") from error


@dataclass(frozen=True)
class Weights:
    """Weights of the parts, for listeners with fewer than `boundary` distinct tracks and for the others."""

    few: tuple[float, ...]
    many: tuple[float, ...]
    boundary: int = 0

    @classmethod
    def even(cls, parts: int) -> Weights:
        return cls((1 / parts,) * parts, (1 / parts,) * parts)

    def of(self, tracks: NDArray[np.int64]) -> NDArray[np.float32]:
        """float32 (listeners, parts) for listeners with so many distinct tracks, int64 (listeners,)."""
        return np.where((tracks < self.boundary)[:, None], self.few, self.many).astype(np.float32)


@dataclass(frozen=True)
class Recipe:
    """One part, or several and the weights of their standardised scores."""

    parts: tuple[Part, ...] = field(default_factory=lambda: (Part(),))
    weights: Weights = Weights((), ())  # none given: even ones

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("parts: a recipe needs at least one")
        if self.weights == Weights((), ()):
            object.__setattr__(self, "weights", Weights.even(len(self.parts)))
        if {len(self.weights.few), len(self.weights.many)} != {len(self.parts)}:
            raise ValueError("weights: as many as there are parts")

    @property
    def algorithm(self) -> str:
        """The families, as in "ials+rp3beta"."""
        return "+".join(part.trainer.family for part in self.parts)

    def parameters(self) -> dict[str, Any]:
        """JSON-ready; `Recipe.parse` reads it."""
        w = self.weights
        weights = {"few": list(w.few), "many": list(w.many), "boundary": w.boundary}
        return {"parts": [part.parameters() for part in self.parts], "weights": weights}

    @classmethod
    def parse(cls, parameters: dict[str, Any]) -> Recipe:
        """Raises ValueError, naming what is wrong."""
        try:
            parts = tuple(Part.parse(p) for p in parameters["parts"])
            w = parameters["weights"]
            return cls(parts, Weights(tuple(w["few"]), tuple(w["many"]), int(w["boundary"])))
        except (KeyError, TypeError) as error:
            raise ValueError(f"recipe: {error!r}") from error
