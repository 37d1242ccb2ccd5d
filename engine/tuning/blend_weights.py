"""Weights of a blend, learnt on held-out plays: for everybody, and by segment where that pays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.ensemble import BlendWeights
from engine.evaluation.metrics import ndcg
from engine.evaluation.ranking import Scorer, rank_top_k
from engine.ranking.blend import standardize_scores
from engine.tuning.validation_metric import CUTOFF, ValidationMetric

_POOL = 40  # of each part's best tracks: what is in nobody's forty is in no blend's ten
_BLOCK = 256  # listeners scored at once
_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75)
_SEGMENT = 100  # listeners in each half of a segment: with fewer, weights of its own are not even tried
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class ValidationPool:
    """For each listener asked about, the tracks that any part ranks high, and what every part says of them.

    scores: float32 (listeners, pool, parts), standardised, -inf for a repeated place · relevant: bool (listeners, pool)
    · wanted: int64 (listeners,), relevant tracks in all · tracks: int64 (listeners,), distinct tracks of their past.
    """

    scores: NDArray[np.float32]
    relevant_counts: NDArray[np.bool_]
    wanted: NDArray[np.int64]
    tracks: NDArray[np.int64]

    @classmethod
    def build(cls, metric: ValidationMetric, parts: Sequence[Scorer], offered: NDArray[np.bool_]) -> ValidationPool:
        """parts: rows → (b, items), as `engine.fitting.ComponentScorer` · offered: bool (items,)."""
        q = metric.ground_truth
        lists = [rank_top_k(_masked(p, offered), q.users, q.past, _POOL, threads=metric.threads) for p in parts]
        pool = np.sort(np.concatenate(lists, axis=1), axis=1)
        repeated = np.zeros(pool.shape, np.bool_)
        repeated[:, 1:] = pool[:, 1:] == pool[:, :-1]
        unusable = repeated | (pool < 0)
        scores = np.empty((*pool.shape, len(parts)), np.float32)
        for start in range(0, len(pool), _BLOCK):
            block = slice(start, start + _BLOCK)
            for number, part in enumerate(parts):
                said = standardize_scores(part(q.users[block]), offered)
                scores[block, :, number] = np.take_along_axis(said, np.maximum(pool[block], 0), axis=1)
        scores[unusable] = -np.inf
        return cls(scores, q.mark_hits(np.where(unusable, -1, pool)), q.relevant_counts(), q.history_lengths())

    def each(self, weights: Vector, who: NDArray[np.bool_] | slice = slice(None)) -> Vector:
        """NDCG@10 of the listeners chosen by `who`, their parts weighted alike: float64 (n,)."""
        usable = np.isfinite(self.scores[who, :, 0])
        total = np.where(usable, np.nan_to_num(self.scores[who], neginf=0.0) @ weights.astype(np.float32), -np.inf)
        best = (
            np.argpartition(-total, CUTOFF - 1, axis=1)[:, :CUTOFF]
            if total.shape[1] > CUTOFF
            else np.argsort(-total, axis=1)
        )
        ordered = np.take_along_axis(best, np.argsort(-np.take_along_axis(total, best, 1), axis=1, kind="stable"), 1)
        hits = np.take_along_axis(self.relevant_counts[who], ordered, axis=1)
        if hits.shape[1] < CUTOFF:
            hits = np.pad(hits, ((0, 0), (0, CUTOFF - hits.shape[1])))
        return ndcg(hits, self.wanted[who], [CUTOFF])[:, 0]


def learn_weights(pool: ValidationPool, seed: int) -> tuple[BlendWeights, float]:
    """Weights and the NDCG@10 to be expected of them: learnt on one half of the listeners and judged on the other, both
    ways, so that a choice between blends is not won by whoever fits chance best."""
    half = np.random.default_rng(seed).permutation(len(pool.wanted)) % 2 == 0
    all_ = np.ones(len(half), np.bool_)
    everyone = _search(pool, all_)
    of_half = [(side, _search(pool, side)) for side in (half, ~half)]
    expected = np.empty(len(half))
    for side, weights in of_half:
        expected[~side] = pool.each(weights, ~side)
    boundary = int(np.median(pool.tracks)) + 1 if len(pool.tracks) else 0
    sides = [everyone, everyone]
    for number, segment in enumerate((pool.tracks < boundary, pool.tracks >= boundary)):
        if min((segment & half).sum(), (segment & ~half).sum()) < _SEGMENT or pool.scores.shape[2] < 2:
            continue
        own = expected.copy()
        for side, weights in of_half:
            own[segment & ~side] = pool.each(_refined(pool, weights, segment & side), segment & ~side)
        gain = (own - expected)[segment]
        if gain.mean() > gain.std() / np.sqrt(len(gain)):  # beyond its standard error, on listeners not learnt on
            sides[number] = _refined(pool, everyone, segment)
            expected = own
    few, many = (tuple(round(float(w), 4) for w in side) for side in sides)
    return BlendWeights(few, many, boundary if few != many else 0), float(expected.mean())


def _search(pool: ValidationPool, who: NDArray[np.bool_]) -> Vector:
    """The first part, then one after the other with the share that helps most, then all of them once more."""
    weights = np.zeros(pool.scores.shape[2])
    weights[0] = 1
    for part in range(1, len(weights)):
        weights = _line(pool, weights, part, who, _SHARES)
    return _refined(pool, weights, who)


def _refined(pool: ValidationPool, weights: Vector, who: NDArray[np.bool_]) -> Vector:
    for part in range(len(weights) if len(weights) > 1 else 0):
        now = weights[part]
        weights = _line(pool, weights, part, who, [now * 0.6, now * 0.8, now * 1.25, now * 1.6, 0.0])
    return weights


def _line(pool: ValidationPool, weights: Vector, part: int, who: NDArray[np.bool_], shares: Sequence[float]) -> Vector:
    """`weights`, or with another share of one part where that is better; they add up to 1."""
    others = np.where(np.arange(len(weights)) == part, 0, weights)
    tried = [weights]
    for share in (min(share, 1.0) for share in shares):
        if others.any():
            one = others / others.sum() * (1 - share)
            one[part] = share
            tried.append(one)
    scores = [pool.each(one, who).mean() if who.any() else 0.0 for one in tried]
    return tried[int(np.argmax(scores))]


def _masked(part: Scorer, offered: NDArray[np.bool_]) -> Callable[[NDArray[np.int64]], NDArray[np.float32]]:
    return lambda users: np.where(offered, part(users), np.float32(-np.inf))
