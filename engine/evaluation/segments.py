"""For whom, and of which tracks, a model is good: cold, light and heavy listeners; head and tail of the catalogue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
COLD_THRESHOLD = 5
HEAD_SHARE = 0.5


def user_segments(tracks: NDArray[np.int64], cold_threshold: int = COLD_THRESHOLD) -> dict[str, Mask]:
    """ "cold", "light", "heavy": bool (listeners,) each, every listener in one of them.

    tracks: int64 (listeners,), how many each has played in the past. Cold: fewer than `cold_below`; light: fewer than
    the median of the rest; heavy: the others.
    """
    cold = tracks < cold_threshold
    median = np.median(tracks[~cold]) if not cold.all() else 0
    return {"cold": cold, "light": ~cold & (tracks < median), "heavy": ~cold & (tracks >= median)}


def item_segments(popularity: NDArray[np.float32], head_share: float = HEAD_SHARE) -> dict[str, Mask]:
    """ "head", "tail": bool (tracks,) each, every track in one of them.

    popularity: float32 (tracks,), listeners of each track in the past. Head: the most popular tracks, ties by row,
    that it takes to hold `head_share` of the past's pairs; tail: the others.
    """
    most_popular_first = np.argsort(-popularity, kind="stable")
    held_by_those_before = np.cumsum(popularity[most_popular_first], dtype=np.float64) - popularity[most_popular_first]
    head = np.zeros(len(popularity), np.bool_)
    head[most_popular_first] = held_by_those_before < head_share * popularity.sum(dtype=np.float64)
    return {"head": head, "tail": ~head}
