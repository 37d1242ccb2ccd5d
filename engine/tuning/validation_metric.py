"""One number for one model, quickly: NDCG@10 over all tracks on a sample of listeners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.user_item_pairs import UserItemPairs, binary_matrix
from engine.evaluation.ground_truth import GroundTruth, known_users_only
from engine.evaluation.metrics import ndcg
from engine.evaluation.ranking import Scorer, rank_top_k

CUTOFF = 10
MAX_USERS = 5_000


@dataclass(frozen=True)
class ValidationMetric:
    """Asks about the same listeners every time: those with both a past and a future."""

    ground_truth: GroundTruth
    threads: int = 0

    @classmethod
    def from_pairs(
        cls, past: UserItemPairs, future: UserItemPairs, shape: tuple[int, int], seed: int, threads: int = 0
    ) -> ValidationMetric:
        """Raises ValueError where there is nobody to ask about."""
        before = binary_matrix(past, shape)
        ground_truth = GroundTruth.from_matrices(
            before, known_users_only(before, binary_matrix(future, shape)), MAX_USERS, seed
        )
        if not len(ground_truth.users):
            raise ValueError(
                "nobody who played something before came to anything new after; there is nothing to choose on"
            )
        return cls(ground_truth, threads)

    def mean_ndcg(self, scores: Scorer) -> float:
        """Mean NDCG@10 of a model."""
        return float(self.each(scores).mean())

    def each(self, scores: Scorer) -> NDArray[np.float64]:
        """NDCG@10 of each listener asked about: float64 (n,)."""
        q = self.ground_truth
        lists = rank_top_k(scores, q.users, q.past, CUTOFF, threads=self.threads)
        return ndcg(q.mark_hits(lists), q.relevant_counts(), [CUTOFF])[:, 0]
