"""Rank the held-out future of every listener with a past, beside most-popular."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.evaluation.metrics import ndcg_at_k, recall_at_k
from engine.models.als import Factors
from engine.models.popularity import listeners

K = 10
MAX_LISTENERS = 10_000  # a sample that size puts NDCG within about ±.003
_BLOCK_BYTES = 64 << 20  # of scores at once


def report(
    past: sp.csr_matrix,
    future: sp.csr_matrix,
    factors: Factors,
    *,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """NDCG@10 and Recall@10 over all items a listener had not played before, mean over listeners with past and future.

    past, future: CSR (users, items); what was played before counts neither as a hit nor as relevant.
    """
    future = (future - future.multiply(past > 0)).tocsr()
    future.eliminate_zeros()
    judged = np.flatnonzero((np.diff(past.indptr) > 0) & (np.diff(future.indptr) > 0))
    if len(judged) > MAX_LISTENERS:
        judged = np.sort(np.random.default_rng(seed).choice(judged, MAX_LISTENERS, replace=False))
    popularity = listeners(past)
    rankers: dict[str, Callable[[NDArray[np.int64]], NDArray[np.float32]]] = {
        "model": lambda users: factors[0][users] @ factors[1].T,
        "most_popular": lambda users: np.tile(popularity, (len(users), 1)),
    }
    measured: dict[str, Any] = {"listeners": len(judged), "k": K}
    if len(judged):
        for number, (name, score) in enumerate(rankers.items()):
            tally: list[NDArray[np.float64]] = []
            for users in _blocks(judged, past.shape[1]):
                tally.append(_judge(score(users), past[users], future[users]))
                progress(number * len(judged) + sum(map(len, tally)), len(rankers) * len(judged))
            ndcg, recall = np.concatenate(tally).mean(axis=0)
            measured[name] = {f"ndcg@{K}": round(float(ndcg), 5), f"recall@{K}": round(float(recall), 5)}
    return measured


def _blocks(users: NDArray[np.int64], items: int) -> Iterator[NDArray[np.int64]]:
    size = max(1, _BLOCK_BYTES // (4 * items))
    return (users[start : start + size] for start in range(0, len(users), size))


def _judge(scores: NDArray[np.float32], past: sp.csr_matrix, future: sp.csr_matrix) -> NDArray[np.float64]:
    """Columns NDCG, recall: float64 (users, 2)."""
    scores[past.nonzero()] = -np.inf
    k = min(K, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    best = np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable"), 1)
    relevant = np.diff(future.indptr).astype(np.int64)
    user = np.arange(len(scores))[:, None]
    hits = np.asarray(future[np.repeat(user, k, 1).ravel(), best.ravel()] > 0).reshape(-1, k)
    return np.stack([ndcg_at_k(hits, relevant), recall_at_k(hits, relevant)], axis=1)
