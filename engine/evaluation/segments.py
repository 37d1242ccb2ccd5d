"""Segments of the users and the catalogue: cold, light and heavy users; head and tail items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
HEAD_SHARE = 0.5


def user_segments(history_lengths: NDArray[np.int64], is_cold: Mask) -> dict[str, Mask]:
    """Divide the users into "cold", "light" and "heavy" ones.

    Args:
        history_lengths: int64 (users,), how many items each has in the past.
        is_cold: bool (users,), which users are cold; of the others, those below the median are light.

    Returns:
        bool (users,) by segment; every user is in exactly one.
    """
    median = np.median(history_lengths[~is_cold]) if not is_cold.all() else 0
    return {
        "cold": is_cold,
        "light": ~is_cold & (history_lengths < median),
        "heavy": ~is_cold & (history_lengths >= median),
    }


def item_segments(popularity: NDArray[np.float32], head_share: float = HEAD_SHARE) -> dict[str, Mask]:
    """Divide the catalogue into "head" and "tail" items.

    Args:
        popularity: float32 (items,), listeners of each item in the past.
        head_share: the head is as few of the most popular items as hold this share of all (user, item) pairs; items
            with equal popularity enter in the order of their rows.

    Returns:
        bool (items,) by segment; every item is in exactly one.
    """
    most_popular_first = np.argsort(-popularity, kind="stable")
    sorted_popularity = popularity[most_popular_first]
    pairs_before = np.cumsum(sorted_popularity, dtype=np.float64) - sorted_popularity
    head = np.zeros(len(popularity), np.bool_)
    head[most_popular_first] = pairs_before < head_share * popularity.sum(dtype=np.float64)
    return {"head": head, "tail": ~head}
