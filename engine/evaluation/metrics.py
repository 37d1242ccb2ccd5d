"""Ranking metrics over all items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ndcg_at_k(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """NDCG@K of binary relevance, float64 (users,), in 0..1 (Järvelin & Kekäläinen 2002).

    hits: bool (users, K), whether the item at each rank is relevant · relevant: int64 (users,) ≥ 1, how many there are.
    """
    k = hits.shape[1]
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discounts)[np.minimum(relevant, k) - 1]
    return np.asarray((hits @ discounts) / ideal)


def recall_at_k(hits: NDArray[np.bool_], relevant: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of a listener's relevant items among the K, float64 (users,), in 0..1."""
    return np.asarray(hits.sum(axis=1) / relevant)
