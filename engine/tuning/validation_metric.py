"""The number that a search maximises: mean NDCG@10 over the whole catalogue, on a sample of users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.plays import InsufficientPlays
from engine.data.user_item_pairs import UserItemPairs, binary_matrix
from engine.evaluation.ground_truth import GroundTruth, known_users_only
from engine.evaluation.metrics import ndcg
from engine.evaluation.questions import ALL, NEW, REPEATS
from engine.evaluation.ranking import Scorer, rank_top_k

CUTOFF = 10
MAX_USERS = 10_000  # the difference of two families then has a standard error of .6 %
_RELEVANT = {NEW: "a new track", ALL: "a track", REPEATS: "one of them again"}


@dataclass(frozen=True)
class ValidationMetric:
    """A metric that evaluates every model on the same users: those with both a past and a future."""

    ground_truth: GroundTruth
    threads: int = 0

    @classmethod
    def from_pairs(
        cls,
        past: UserItemPairs,
        future: UserItemPairs,
        shape: tuple[int, int],
        seed: int,
        threads: int = 0,
        question: str = NEW,
        max_users: int = MAX_USERS,
    ) -> ValidationMetric:
        """Build the metric from a split.

        Args:
            past: the pairs that models are fitted on.
            future: the pairs that were held out.
            shape: (users, items).
            seed: of the sample, where there are more than `max_users` users.
            threads: 0 for all cores.
            question: one of `engine.evaluation.questions.QUESTIONS`.
            max_users: how many users to evaluate at most.

        Raises:
            InsufficientPlays: no user of the past has a relevant item in the future.
            ValueError: for an unknown question.
        """
        history = binary_matrix(past, shape)
        known_future = known_users_only(history, binary_matrix(future, shape))
        ground_truth = GroundTruth.from_matrices(history, known_future, max_users, seed, question)
        if not len(ground_truth.users):
            raise InsufficientPlays(
                "no ensemble can be chosen: no listener with plays before the split played "
                f"{_RELEVANT[question]} after it; import plays over a longer time"
            )
        return cls(ground_truth, threads)

    def mean_ndcg(self, scorer: Scorer) -> float:
        """Return the mean NDCG@10 of a model."""
        return float(self.ndcg_per_user(scorer).mean())

    def ndcg_per_user(self, scorer: Scorer) -> NDArray[np.float64]:
        """Return the NDCG@10 of a model for each user of the ground truth: float64 (n,)."""
        truth = self.ground_truth
        lists = rank_top_k(scorer, truth.users, truth.past, CUTOFF, question=truth.question, threads=self.threads)
        return np.asarray(ndcg(truth.mark_hits(lists), truth.relevant_counts(), [CUTOFF])[:, 0])
