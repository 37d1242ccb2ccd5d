"""What a search leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.ensemble import ComponentConfig, EnsembleConfig


@dataclass(frozen=True)
class Trial:
    """One part, fitted on the past and judged on the future.

    score: NDCG@10, None where it could not be fitted · seconds: what it took · note: why it failed or ended early.
    """

    component: ComponentConfig
    score: float | None
    seconds: float
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `Trial.parse` reads it."""
        return {"part": self.component.to_dict(), "score": self.score, "seconds": self.seconds, "note": self.note}

    @classmethod
    def from_dict(cls, parameters: dict[str, Any]) -> Trial:
        """Raises ValueError, naming what is wrong."""
        note = parameters.get("note", "")
        return cls(ComponentConfig.from_dict(parameters["part"]), parameters["score"], parameters["seconds"], note)


@dataclass(frozen=True)
class TunedEnsemble:
    """recipe: the best found · score: its NDCG@10 on the plays it was chosen on · trials: all, those known before first
    · best_of: the best score of each family tried."""

    ensemble: EnsembleConfig
    score: float
    trials: tuple[Trial, ...]
    best_of: dict[str, float] = field(default_factory=dict)
