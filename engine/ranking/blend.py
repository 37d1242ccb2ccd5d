"""Scores of the parts of a recipe, and their blend, as arrays over all tracks: how a recipe is tuned and judged.

`engine.retrieval.score_terms` says the same of one listener, term by term.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
NEVER = np.float32(-np.inf)


def standardize_scores(scores: Scores, offered: NDArray[np.bool_]) -> Scores:
    """Each row of (listeners, items) with mean 0 and deviation 1 over the offered items; a constant row becomes zeros.

    Scores of different families have different scales, and of different listeners too.
    """
    seen = scores[:, offered]
    if not seen.shape[1]:
        return np.zeros_like(scores)
    centred: Scores = scores - seen.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    deviation = seen.std(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    return np.asarray(np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-12))


def blend_scores(
    parts: Sequence[Scores | None], weights: NDArray[np.float32], offered: NDArray[np.bool_]
) -> Scores | None:
    """Scores (listeners, items) of a recipe from those of its parts, -inf for tracks it does not offer; None where no
    part knows anything.

    weights: float32 (listeners, parts). One part keeps its scale, and never offers what got no score from neighbours.
    """
    if len(parts) == 1:
        only = parts[0]
        return None if only is None else np.where(offered & (only != 0), only, NEVER)
    total: Scores | None = None
    for part, weight in zip(parts, weights.T, strict=True):
        if part is not None:
            added = weight[:, None] * standardize_scores(part, offered)
            total = added if total is None else total + added
    return None if total is None else np.where(offered, total, NEVER)
