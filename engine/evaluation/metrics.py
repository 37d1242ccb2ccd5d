"""Accuracy of ranked lists: binary relevance, each metric of each listener at several K at once.

Every metric takes the same three and gives float64 (users, len(ks)) in 0..1, a column for each of `ks`:

hits: bool (users, Kmax), whether the track at each rank is relevant; a list that is shorter ends in False ·
relevant: int64 (users,) ≥ 1, how many tracks are relevant to each listener · ks: cut-offs, each in 1..Kmax.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
Relevant = NDArray[np.int64]
PerUserMetric = NDArray[np.float64]
Metric = Callable[[Hits, Relevant, Sequence[int]], PerUserMetric]


def precision(hits: Hits, relevant: Relevant, ks: Sequence[int]) -> PerUserMetric:
    """Precision@K: hits among the first K, divided by K however short the list is."""
    return np.asarray(_upto(hits, ks) / np.asarray(ks))


def recall(hits: Hits, relevant: Relevant, ks: Sequence[int]) -> PerUserMetric:
    """Recall@K: share of the listener's relevant tracks among the first K."""
    return _upto(hits, ks) / relevant[:, None]


def ndcg(hits: Hits, relevant: Relevant, ks: Sequence[int]) -> PerUserMetric:
    """NDCG@K: discounted gain over that of min(K, relevant) hits in front (Järvelin & Kekäläinen 2002)."""
    discounts = 1 / np.log2(1 + _ranks(hits))
    ideal = np.cumsum(discounts)[_findable(relevant, ks) - 1]
    return _upto(hits * discounts, ks) / ideal


def average_precision(hits: Hits, relevant: Relevant, ks: Sequence[int]) -> PerUserMetric:
    """AP@K, whose mean is MAP@K: precision at the rank of each hit, summed, over min(K, relevant); so a list that could
    not be better has 1, also where more tracks are relevant than K."""
    precision_at_rank = np.cumsum(hits, axis=1) / _ranks(hits)
    return _upto(hits * precision_at_rank, ks) / _findable(relevant, ks)


def reciprocal_rank(hits: Hits, relevant: Relevant, ks: Sequence[int]) -> PerUserMetric:
    """RR@K, whose mean is MRR@K: 1 / rank of the first hit, 0 where there is none among the first K (Voorhees 1999)."""
    return np.asarray(np.maximum.accumulate(hits / _ranks(hits), axis=1)[:, _columns(ks)])


def hit_rate(hits: Hits, relevant: Relevant, ks: Sequence[int]) -> PerUserMetric:
    """Hit rate@K: 1 where any of the first K is a hit, else 0."""
    return (_upto(hits, ks) > 0).astype(np.float64)


METRICS: dict[str, Metric] = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def accuracy_metrics(hits: Hits, relevant: Relevant, ks: Sequence[int]) -> dict[str, PerUserMetric]:
    """Every metric at every K, by names like "ndcg@10": float64 (users,) each."""
    return {
        f"{name}@{k}": column
        for name, metric in METRICS.items()
        for k, column in zip(ks, metric(hits, relevant, ks).T, strict=True)
    }


def _columns(ks: Sequence[int]) -> NDArray[np.int64]:
    return np.asarray(ks, np.int64) - 1


def _ranks(hits: Hits) -> NDArray[np.int64]:
    return np.arange(1, hits.shape[1] + 1)


def _upto(gains: NDArray[np.bool_] | PerUserMetric, ks: Sequence[int]) -> PerUserMetric:
    """Sums over the first K of each row: float64 (users, len(ks))."""
    return np.cumsum(gains, axis=1, dtype=np.float64)[:, _columns(ks)]


def _findable(relevant: Relevant, ks: Sequence[int]) -> NDArray[np.int64]:
    """Most hits that K places can hold: int64 (users, len(ks))."""
    return np.minimum(relevant[:, None], np.asarray(ks, np.int64))
