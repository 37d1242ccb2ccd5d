"""The k best of many scores, exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
TopK = tuple[Rows, NDArray[np.float64]]
"""Rows int64 (k,), best first, and their scores float64 (k,)."""


def empty_top_k() -> TopK:
    return np.zeros(0, np.int64), np.zeros(0)


def top_k(scores: NDArray[np.floating], k: int) -> Rows:
    """Rows of the k greatest finite-or-+inf scores, best first, equal scores by row: a longer list begins with the
    shorter one. A score of -inf means "never", so the answer may be shorter than k."""
    k = min(k, len(scores))
    if k < 1:
        return np.zeros(0, np.int64)
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= threshold) if threshold > -np.inf else np.flatnonzero(scores > -np.inf)
    best_first = np.lexsort((candidates, -scores[candidates]))
    return candidates[best_first[:k]]


def top_k_of_rows(rows: Rows, scores: NDArray[np.float64], k: int) -> TopK:
    """The k best of distinct rows, equal scores by row."""
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.int64), scores[order]


@dataclass
class TopKAccumulator:
    """The k best of what has been seen so far, and all within `slack` of the last: as much as the scores may be wrong
    by rounding. floor: what a score must reach to be among them."""

    k: int
    slack: float = 0.0
    rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    floor: float = -np.inf

    def see(self, rows: Rows, scores: NDArray[np.float64]) -> None:
        """Distinct rows that were not seen before."""
        if not len(rows):
            return
        if len(self.rows):
            rows, scores = np.concatenate([self.rows, rows]), np.concatenate([self.scores, scores])
        self.rows, self.scores = rows, scores
        beyond = len(self.rows) - self.k
        if beyond >= 0:
            self.floor = float(np.partition(self.scores, beyond)[beyond]) - self.slack
            kept = self.scores >= self.floor
            self.rows, self.scores = self.rows[kept], self.scores[kept]
