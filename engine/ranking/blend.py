"""Blended scores of an ensemble as arrays over all tracks, for tuning and evaluation.

`engine.retrieval.exact_search.ScoreTerms` does the same for one listener, term by term.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.retrieval.exact_search import MIN_DEVIATION

Scores = NDArray[np.float32]
NEVER = np.float32(-np.inf)


def standardize_scores(scores: Scores, offered: NDArray[np.bool_]) -> Scores:
    """Shift and scale each row to mean 0 and deviation 1 over the offered items; a row of equal scores becomes zeros.

    Scores of different components have different scales, and those of different listeners too. Scores are equal if they
    differ by rounding only, see `MIN_DEVIATION`.

    Args:
        scores: float32 (listeners, items).
        offered: bool (items,).
    """
    offered_scores = scores[:, offered]
    if not offered_scores.shape[1]:
        return np.zeros_like(scores)
    mean = offered_scores.mean(axis=1, keepdims=True, dtype=np.float64)
    deviation = offered_scores.std(axis=1, keepdims=True, dtype=np.float64)
    centred: Scores = scores - mean.astype(np.float32)
    differs = deviation > MIN_DEVIATION * np.hypot(mean, deviation)
    return np.asarray(np.divide(centred, deviation.astype(np.float32), out=np.zeros_like(centred), where=differs))


def blend_scores(
    components: Sequence[Scores | None], weights: NDArray[np.float32], offered: NDArray[np.bool_]
) -> Scores | None:
    """Add up the weighted standardized scores of the components of an ensemble.

    A single component keeps its scale and never offers items whose score is 0: they have no relation to the history.

    Args:
        components: float32 (listeners, items) each; None for a component without scores for these listeners.
        weights: float32 (listeners, components).
        offered: bool (items,).

    Returns:
        float32 (listeners, items), -inf for items that are not offered; None if no component has scores.
    """
    if len(components) == 1:
        scores = components[0]
        return None if scores is None else np.where(offered & (scores != 0), scores, NEVER)
    total: Scores | None = None
    for scores, weight in zip(components, weights.T, strict=True):
        if scores is not None:
            weighted = weight[:, None] * standardize_scores(scores, offered)
            total = weighted if total is None else total + weighted
    return None if total is None else np.where(offered, total, NEVER)
