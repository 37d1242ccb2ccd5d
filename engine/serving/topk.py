"""The k best of many scores, exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def top_k(scores: NDArray[np.float32], k: int) -> Rows:
    """Rows of the k greatest finite-or-+inf scores, best first, equal scores by row: a longer list begins with the
    shorter one. A score of -inf means "never", so the answer may be shorter than k."""
    k = min(k, len(scores))
    if k < 1:
        return np.zeros(0, np.int64)
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    candidates = np.flatnonzero(scores >= threshold) if threshold > -np.inf else np.flatnonzero(scores > -np.inf)
    best_first = np.lexsort((candidates, -scores[candidates]))
    return candidates[best_first[:k]]
