"""Learn the weights of a blend on held-out plays: for all users, and for each segment of users where that helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.ensemble import BlendWeights
from engine.evaluation.metrics import ndcg
from engine.evaluation.ranking import Rows, Scorer, rank_top_k
from engine.ranking.blend import standardize_scores
from engine.tuning.validation_metric import CUTOFF, ValidationMetric

_POOLED_PER_COMPONENT = 40  # an item outside every component's top 40 is in the top 10 of no blend
_USERS_PER_BLOCK = 256
_SHARES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75)
_REFINEMENTS = (0.6, 0.8, 1.25, 1.6, 0.0)  # factors by which a share is changed
_MIN_SEGMENT_USERS = 100  # in each half of the users; smaller segments get no weights of their own
Vector = NDArray[np.float64]
UserMask = NDArray[np.bool_]


@dataclass(frozen=True)
class ValidationPool:
    """The items that any component ranks high for each evaluated user, and the scores that every component gives them.

    Blends are compared on this small pool, because ranking the whole catalogue for each weighting would take too long.

    Attributes:
        scores: float32 (users, pool, components), standardized; -inf for all components at unused positions.
        is_relevant: bool (users, pool).
        relevant_counts: int64 (users,), relevant items in the whole catalogue.
        history_lengths: int64 (users,), distinct items of each user's past.
    """

    scores: NDArray[np.float32]
    is_relevant: NDArray[np.bool_]
    relevant_counts: NDArray[np.int64]
    history_lengths: NDArray[np.int64]

    @classmethod
    def build(
        cls, metric: ValidationMetric, scorers: Sequence[Scorer], recommendable: NDArray[np.bool_]
    ) -> ValidationPool:
        """Pool the best items of several components that answer the question of the metric.

        Args:
            metric: whose users are evaluated.
            scorers: one for each component, such as `ComponentScorer`.
            recommendable: bool (items,); other items do not enter the pool.
        """
        truth = metric.ground_truth
        lists = []
        for scorer in scorers:

            def score_recommendable(users: Rows, scorer: Scorer = scorer) -> NDArray[np.float32]:
                return np.where(recommendable, scorer(users), np.float32(-np.inf))

            lists.append(
                rank_top_k(
                    score_recommendable,
                    truth.users,
                    truth.past,
                    _POOLED_PER_COMPONENT,
                    question=truth.question,
                    threads=metric.threads,
                )
            )
        items = np.sort(np.concatenate(lists, axis=1), axis=1)
        unused = items < 0
        unused[:, 1:] |= items[:, 1:] == items[:, :-1]  # several components rank the same item high
        scores = np.empty((*items.shape, len(scorers)), np.float32)
        for start in range(0, len(items), _USERS_PER_BLOCK):
            block = slice(start, start + _USERS_PER_BLOCK)
            for component, scorer in enumerate(scorers):
                block_scores = standardize_scores(scorer(truth.users[block]), recommendable)
                scores[block, :, component] = np.take_along_axis(block_scores, np.maximum(items[block], 0), axis=1)
        scores[unused] = -np.inf
        is_relevant = truth.mark_hits(np.where(unused, -1, items))
        return cls(scores, is_relevant, truth.relevant_counts(), truth.history_lengths())

    def select_components(self, components: Sequence[int]) -> ValidationPool:
        """Return the pool with the scores of these components only, in this order."""
        return replace(self, scores=self.scores[:, :, list(components)])

    def ndcg_per_user(self, weights: Vector, users: UserMask | slice = slice(None)) -> Vector:
        """Return the NDCG@10 of a blend for each of `users`.

        Args:
            weights: float64 (components,).
            users: bool (users,), n of them, or a slice; all by default.

        Returns:
            float64 (n,).
        """
        is_used = np.isfinite(self.scores[users, :, 0])
        blend = np.nan_to_num(self.scores[users], neginf=0.0) @ weights.astype(np.float32)
        descending = np.where(is_used, -blend, np.inf)
        if descending.shape[1] > CUTOFF:
            best = np.argpartition(descending, CUTOFF - 1, axis=1)[:, :CUTOFF]
        else:
            best = np.argsort(descending, axis=1)
        order = np.argsort(np.take_along_axis(descending, best, axis=1), axis=1, kind="stable")
        ranked = np.take_along_axis(best, order, axis=1)
        hits = np.take_along_axis(self.is_relevant[users], ranked, axis=1)
        hits = np.pad(hits, ((0, 0), (0, CUTOFF - hits.shape[1])))  # `ndcg` expects CUTOFF ranks
        return ndcg(hits, self.relevant_counts[users], [CUTOFF])[:, 0]


def learn_weights(pool: ValidationPool, seed: int) -> tuple[BlendWeights, float]:
    """Learn the weights of a blend, and estimate how well it will do.

    The estimate is cross-validated: weights learned on one half of the users are scored on the other half, both ways.
    Otherwise the blend with the most components would win by fitting chance.

    Args:
        pool: scores of the blend's components, the strongest component first.
        seed: of the halves.

    Returns:
        The weights, and the NDCG@10 to expect of them.
    """
    users = len(pool.relevant_counts)
    half = np.random.default_rng(seed).permutation(users) % 2 == 0
    shared_weights = _search_weights(pool, np.ones(users, np.bool_))
    weights_of_halves = [(training_half, _search_weights(pool, training_half)) for training_half in (half, ~half)]
    expected = np.empty(users)
    for training_half, weights in weights_of_halves:
        expected[~training_half] = pool.ndcg_per_user(weights, ~training_half)

    boundary = int(np.median(pool.history_lengths)) + 1 if users else 0
    segment_weights = [shared_weights, shared_weights]
    for number, segment in enumerate((pool.history_lengths < boundary, pool.history_lengths >= boundary)):
        smaller_half = min((segment & half).sum(), (segment & ~half).sum())
        if smaller_half < _MIN_SEGMENT_USERS or pool.scores.shape[2] < 2:
            continue
        with_own_weights = expected.copy()
        for training_half, weights in weights_of_halves:
            own_weights = _refine_weights(pool, weights, segment & training_half)
            test_users = segment & ~training_half
            with_own_weights[test_users] = pool.ndcg_per_user(own_weights, test_users)
        gain = (with_own_weights - expected)[segment]
        if gain.mean() > gain.std() / np.sqrt(len(gain)):  # more than its standard error
            segment_weights[number] = _refine_weights(pool, shared_weights, segment)
            expected = with_own_weights
    few, many = (tuple(round(float(weight), 4) for weight in weights) for weights in segment_weights)
    return BlendWeights(few, many, boundary if few != many else 0), float(expected.mean())


def _search_weights(pool: ValidationPool, users: UserMask) -> Vector:
    """Start from the first component, add the others one by one with their best share, then refine all shares."""
    weights = np.zeros(pool.scores.shape[2])
    weights[0] = 1
    for component in range(1, len(weights)):
        weights = _search_share(pool, weights, component, users, _SHARES)
    return _refine_weights(pool, weights, users)


def _refine_weights(pool: ValidationPool, weights: Vector, users: UserMask) -> Vector:
    """Change the share of one component after the other a little, where that helps `users`."""
    if len(weights) < 2:
        return weights
    for component in range(len(weights)):
        shares = [weights[component] * factor for factor in _REFINEMENTS]
        weights = _search_share(pool, weights, component, users, shares)
    return weights


def _search_share(
    pool: ValidationPool, weights: Vector, component: int, users: UserMask, shares: Sequence[float]
) -> Vector:
    """Return `weights`, or with the best of `shares` for one component, the others scaled so that they add up to 1."""
    others = np.where(np.arange(len(weights)) == component, 0, weights)
    if not others.any() or not users.any():
        return weights
    candidates = [weights]
    for share in shares:
        share = min(share, 1.0)
        candidate = others / others.sum() * (1 - share)
        candidate[component] = share
        candidates.append(candidate)
    scores = [pool.ndcg_per_user(candidate, users).mean() for candidate in candidates]
    return candidates[int(np.argmax(scores))]
