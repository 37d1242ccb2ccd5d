"""Fits a part on the past and judges it on the future."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.confidence import PlayStatistics, confidence_matrix
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig
from engine.evaluation.ranking import Scorer
from engine.fitting import ComponentScorer
from engine.models.base import NO_CALLBACKS, CannotTrain, Factors, FitCallbacks
from engine.ranking.blend import blend_scores
from engine.tuning.trials import Trial
from engine.tuning.validation_metric import ValidationMetric

_HOPELESS = 0.6  # of the leader's score, half way through its iterations


@dataclass
class TrialRunner:
    """What every part is tried on, and how."""

    past: UserItemPairs
    shape: tuple[int, int]
    metric: ValidationMetric
    seed: int
    threads: int

    def __post_init__(self) -> None:
        self.statistics = PlayStatistics.from_pairs(self.past)

    def fit(self, part: ComponentConfig, callbacks: FitCallbacks = NO_CALLBACKS) -> ComponentScorer:
        matrix = confidence_matrix(self.past, self.shape, part.confidence, self.statistics)
        learnt = part.trainer.fit(matrix, seed=self.seed, threads=self.threads, callbacks=callbacks)
        return ComponentScorer.from_model(part, learnt, matrix)

    def run_trial(self, part: ComponentConfig, best: float) -> Trial:
        """A trial that cannot be fitted is one without a score; the search goes on."""
        began, note = time.perf_counter(), ""
        half_way = getattr(part.trainer, "iterations", 0) // 2

        def hopeless(done: int, factors: Factors) -> bool:
            nonlocal note
            if done != half_way or not best:
                return False
            if self.metric.mean_ndcg(lambda users: factors[0][users] @ factors[1].T) >= _HOPELESS * best:
                return False
            note = f"ended after {done} iterations, far behind"
            return True

        try:
            scorer = self.fit(part, FitCallbacks(should_stop=hopeless))
            score: float | None = round(self.metric.mean_ndcg(single_component_scorer(scorer)), 5)
        except (CannotTrain, FloatingPointError, MemoryError, ValueError, ArithmeticError) as error:
            score, note = None, f"{type(error).__name__}: {error}"[:500]
        return Trial(part, score, round(time.perf_counter() - began, 3), note)


def single_component_scorer(scorer: ComponentScorer) -> Scorer:
    """As one part alone is served."""

    def scores(users: NDArray[np.int64]) -> NDArray[np.float32]:
        page = blend_scores([scorer(users)], np.ones((len(users), 1), np.float32), scorer.popularity > 0)
        assert page is not None
        return page

    return scores
