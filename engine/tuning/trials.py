"""What a search leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.ensemble import EnsembleConfig
from engine.tuning.trial_runner import Trial


@dataclass(frozen=True)
class TunedEnsemble:
    """recipe: the best found · score: its NDCG@10 on the plays it was chosen on · trials: all, those known before first
    · best_of: the best score of each family tried."""

    ensemble: EnsembleConfig
    score: float
    trials: tuple[Trial, ...]
    best_of: dict[str, float] = field(default_factory=dict)
