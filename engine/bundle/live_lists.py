"""Lists of tracks that a serving process refreshes between two versions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.data.id_map import IdMap


def _no_rows() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class LiveLists:
    """What the service knows now and a version cannot know; empty in evaluations.

    Attributes:
        trending_rows: tracks that more listeners play than usual, the most trending first, int64 (k,).
        trending_scores: of these rows, float64 (k,).
    """

    trending_rows: NDArray[np.int64] = field(default_factory=_no_rows)
    trending_scores: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def from_ids(cls, items: IdMap, trending_ids: ArrayLike, trending_scores: ArrayLike) -> LiveLists:
        """Build the lists of a bundle, without tracks that it does not know.

        Args:
            items: of the bundle.
            trending_ids: the most trending first, int64 (k,).
            trending_scores: float64 (k,).
        """
        rows, is_known = items.rows(trending_ids)
        return cls(rows[is_known], np.asarray(trending_scores, np.float64)[is_known])
