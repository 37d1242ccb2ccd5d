"""Fit one component on the past and score it on the future."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from engine.data.confidence import PlayStatistics, confidence_matrix
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig
from engine.evaluation.ranking import Rows, Scorer
from engine.fitting import ComponentScorer, weight_votes
from engine.models.base import NO_CALLBACKS, CannotTrain, Factors, FitCallbacks
from engine.ranking.blend import Scores, blend_scores
from engine.tuning.validation_metric import ValidationMetric

_FAR_BEHIND = 0.6  # share of the leader's score; a fit that has less halfway through its iterations is stopped


@dataclass(frozen=True)
class Trial:
    """One component, fitted on the past and scored on the future.

    Attributes:
        component: the component that was fitted.
        score: NDCG@10; None if it could not be fitted.
        seconds: how long fitting and scoring took.
        note: why it failed or was stopped early.
    """

    component: ComponentConfig
    score: float | None
    seconds: float
    note: str = ""


@dataclass
class TrialRunner:
    """A runner of trials on one split.

    Attributes:
        past: the pairs to fit on.
        shape: (users, items).
        metric: how a fitted component is scored.
        seed: of the fits.
        threads: 0 for all cores.
    """

    past: UserItemPairs
    shape: tuple[int, int]
    metric: ValidationMetric
    seed: int
    threads: int

    def __post_init__(self) -> None:
        self.statistics = PlayStatistics.from_pairs(self.past)

    def fit(self, component: ComponentConfig, callbacks: FitCallbacks = NO_CALLBACKS) -> ComponentScorer:
        matrix = confidence_matrix(self.past, self.shape, component.confidence, self.statistics)
        model = component.trainer.fit(matrix, seed=self.seed, threads=self.threads, callbacks=callbacks)
        return ComponentScorer.from_model(component, model, weight_votes(matrix, self.past, component))

    def run_trial(self, component: ComponentConfig, leader_score: float) -> Trial:
        """Fit and score a component; one that cannot be fitted gives a trial without a score.

        Args:
            component: the component to fit.
            leader_score: the best score so far, 0 without one. A fit that is far behind it halfway is stopped there.
        """
        started, note = time.perf_counter(), ""
        halfway = getattr(component.trainer, "iterations", 0) // 2  # not every family is iterative

        def is_far_behind(iterations: int, factors: Factors) -> bool:
            nonlocal note
            if iterations != halfway or not leader_score:
                return False
            if self.metric.mean_ndcg(lambda users: factors[0][users] @ factors[1].T) >= _FAR_BEHIND * leader_score:
                return False
            note = f"stopped after {iterations} iterations, far behind the best trial"
            return True

        score: float | None = None
        try:
            scorer = self.fit(component, FitCallbacks(should_stop=is_far_behind))
            score = round(self.metric.mean_ndcg(single_component_scorer(scorer)), 5)
        except (CannotTrain, MemoryError, ValueError, ArithmeticError) as error:
            note = f"{type(error).__name__}: {error}"[:500]
        return Trial(component, score, round(time.perf_counter() - started, 3), note)


def single_component_scorer(scorer: ComponentScorer) -> Scorer:
    """Return a scorer that ranks like an ensemble with this component alone."""

    def score(users: Rows) -> Scores:
        scores = blend_scores([scorer(users)], np.ones((len(users), 1), np.float32), scorer.popularity > 0)
        assert scores is not None
        return scores

    return score
