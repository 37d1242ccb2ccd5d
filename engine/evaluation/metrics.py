"""Accuracy of ranked lists with binary relevance, per user and at several cut-offs at once.

Every metric takes the same three arguments and returns float64 (users, len(ks)) in 0..1, one column per cut-off:

    hits: bool (users, max_k), whether the item at each rank is relevant; False after the end of a shorter list.
    relevant_counts: int64 (users,), at least 1: how many items are relevant to each user.
    ks: cut-offs, each in 1..max_k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Hits = NDArray[np.bool_]
RelevantCounts = NDArray[np.int64]
PerUserMetric = NDArray[np.float64]
MetricFunction = Callable[[Hits, RelevantCounts, Sequence[int]], PerUserMetric]


def precision(hits: Hits, relevant_counts: RelevantCounts, ks: Sequence[int]) -> PerUserMetric:
    """Return Precision@K: the hits among the first K, divided by K even where the list is shorter."""
    return np.asarray(_sum_first_k(hits, ks) / np.asarray(ks))


def recall(hits: Hits, relevant_counts: RelevantCounts, ks: Sequence[int]) -> PerUserMetric:
    """Return Recall@K: the share of the user's relevant items that is among the first K."""
    return _sum_first_k(hits, ks) / relevant_counts[:, None]


def ndcg(hits: Hits, relevant_counts: RelevantCounts, ks: Sequence[int]) -> PerUserMetric:
    """Return NDCG@K: discounted gain over that of the ideal list, min(K, relevant) hits in front.

    Järvelin & Kekäläinen, "Cumulated Gain-Based Evaluation of IR Techniques", 2002.
    """
    discounts = 1 / np.log2(1 + _ranks(hits))
    ideal = np.cumsum(discounts)[_max_hits(relevant_counts, ks) - 1]
    return _sum_first_k(hits * discounts, ks) / ideal


def average_precision(hits: Hits, relevant_counts: RelevantCounts, ks: Sequence[int]) -> PerUserMetric:
    """Return AP@K, whose mean over users is MAP@K: the precisions at the ranks of the hits, over min(K, relevant).

    Dividing by min(K, relevant) gives a perfect list 1 even where more items are relevant than K; trec_eval divides by
    the number of relevant items.
    """
    precision_at_rank = np.cumsum(hits, axis=1) / _ranks(hits)
    return _sum_first_k(hits * precision_at_rank, ks) / _max_hits(relevant_counts, ks)


def reciprocal_rank(hits: Hits, relevant_counts: RelevantCounts, ks: Sequence[int]) -> PerUserMetric:
    """Return RR@K, whose mean over users is MRR@K: 1 / rank of the first hit, 0 without a hit among the first K.

    Voorhees, "The TREC-8 Question Answering Track Report", 1999.
    """
    best_so_far = np.maximum.accumulate(hits / _ranks(hits), axis=1)
    return np.asarray(best_so_far[:, np.asarray(ks) - 1])


def hit_rate(hits: Hits, relevant_counts: RelevantCounts, ks: Sequence[int]) -> PerUserMetric:
    """Return hit rate@K: 1 where any of the first K is a hit, else 0."""
    return (_sum_first_k(hits, ks) > 0).astype(np.float64)


METRICS: dict[str, MetricFunction] = {
    "ndcg": ndcg,
    "recall": recall,
    "precision": precision,
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": hit_rate,
}


def accuracy_metrics(hits: Hits, relevant_counts: RelevantCounts, ks: Sequence[int]) -> dict[str, PerUserMetric]:
    """Return every metric at every K under names like "ndcg@10": float64 (users,) each."""
    return {
        f"{name}@{k}": column
        for name, metric in METRICS.items()
        for k, column in zip(ks, metric(hits, relevant_counts, ks).T, strict=True)
    }


def _ranks(hits: Hits) -> NDArray[np.int64]:
    return np.arange(1, hits.shape[1] + 1)


def _sum_first_k(gains: NDArray[np.bool_] | PerUserMetric, ks: Sequence[int]) -> PerUserMetric:
    """Return the sum of the first K columns of each row: float64 (users, len(ks))."""
    return np.cumsum(gains, axis=1, dtype=np.float64)[:, np.asarray(ks) - 1]


def _max_hits(relevant_counts: RelevantCounts, ks: Sequence[int]) -> NDArray[np.int64]:
    """Return the most hits that K ranks can hold: int64 (users, len(ks))."""
    return np.minimum(relevant_counts[:, None], np.asarray(ks, np.int64))
