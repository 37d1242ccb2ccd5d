"""One number for one model, quickly: NDCG@10 over all tracks on a sample of listeners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.user_item_matrix import Pairs, occurrences
from engine.evaluation.ground_truth import Question, returning
from engine.evaluation.metrics import ndcg
from engine.evaluation.ranking import Scores, top_lists

K = 10
MAX_LISTENERS = 5_000


@dataclass(frozen=True)
class Examiner:
    """Asks about the same listeners every time: those with both a past and a future."""

    question: Question
    threads: int = 0

    @classmethod
    def of(cls, past: Pairs, future: Pairs, shape: tuple[int, int], seed: int, threads: int = 0) -> Examiner:
        """Raises ValueError where there is nobody to ask about."""
        before = occurrences(past, shape)
        question = Question.of(before, returning(before, occurrences(future, shape)), MAX_LISTENERS, seed)
        if not len(question.listeners):
            raise ValueError(
                "nobody who played something before came to anything new after; there is nothing to choose on"
            )
        return cls(question, threads)

    def ndcg(self, scores: Scores) -> float:
        """Mean NDCG@10 of a model."""
        return float(self.each(scores).mean())

    def each(self, scores: Scores) -> NDArray[np.float64]:
        """NDCG@10 of each listener asked about: float64 (n,)."""
        q = self.question
        lists = top_lists(scores, q.listeners, q.past, K, threads=self.threads)
        return ndcg(q.hits(lists), q.relevant(), [K])[:, 0]
