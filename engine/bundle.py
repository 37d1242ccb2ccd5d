"""ModelBundle: the frozen arrays and parameters of one trained version; they answer everything."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.ids import IdMap
from engine.matrix import Confidence

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class ModelBundle:
    """n tracks, m listeners, f factors; a version without factors has f = 0 and answers by popularity.

    item_factors: float32 (n, f) · item_norms: float32 (n,), 0 for a track nobody played · gramian: float64 (f, f),
    item_factorsᵀ·item_factors · popularity: float32 (n,), listeners · popular_rows: int64 (n,), most popular first ·
    user_factors: float32 (m, f) · user_stamps: int64 (m, 2), (interactions, newest UNIX second) the model has seen.
    """

    version: str | None
    algorithm: str
    items: IdMap
    item_factors: NDArray[np.float32]
    item_norms: Vector
    gramian: NDArray[np.float64]
    popularity: Vector
    popular_rows: NDArray[np.int64]
    users: IdMap
    user_factors: NDArray[np.float32]
    user_stamps: NDArray[np.int64]
    regularization: float = 0.01
    confidence: Confidence = field(default_factory=Confidence)

    @property
    def factors(self) -> int:
        return int(self.item_factors.shape[1])

    def item_row(self, track_id: int) -> int | None:
        """The row of a track the model has learnt something about, else None."""
        row = self.items.row(track_id)
        return row if row is not None and self.item_norms[row] > 0 else None

    def user_row(self, user_id: int, stamp: tuple[int, int]) -> int | None:
        """The row of a listener whose plays are still those the model has seen, else None."""
        row = self.users.row(user_id)
        return row if row is not None and tuple(self.user_stamps[row]) == stamp else None


def by_popularity(popularity: Vector) -> NDArray[np.int64]:
    """Rows, the most popular first, ties by row."""
    return np.argsort(-popularity, kind="stable").astype(np.int64)


def assemble(
    *,
    version: str | None,
    algorithm: str,
    items: IdMap,
    popularity: Vector,
    item_factors: NDArray[np.float32] | None = None,
    users: IdMap | None = None,
    user_factors: NDArray[np.float32] | None = None,
    user_stamps: NDArray[np.int64] | None = None,
    regularization: float = 0.01,
    confidence: Confidence | None = None,
) -> ModelBundle:
    """A bundle with everything that can be derived derived."""
    n, m = len(items), len(users) if users is not None else 0
    factors = item_factors if item_factors is not None else np.zeros((n, 0), np.float32)
    wide = factors.astype(np.float64)
    return ModelBundle(
        version=version,
        algorithm=algorithm,
        items=items,
        item_factors=factors,
        item_norms=np.linalg.norm(factors, axis=1).astype(np.float32),
        gramian=wide.T @ wide,
        popularity=popularity,
        popular_rows=by_popularity(popularity),
        users=users if users is not None else IdMap.of([]),
        user_factors=user_factors if user_factors is not None else np.zeros((m, factors.shape[1]), np.float32),
        user_stamps=user_stamps if user_stamps is not None else np.zeros((m, 2), np.int64),
        regularization=regularization,
        confidence=confidence or Confidence(),
    )


def catalogue_bundle(track_ids: ArrayLike, popularity: dict[int, float] | None = None) -> ModelBundle:
    """What is known without any model: which tracks there are and how many listeners the popular ones have."""
    items = IdMap.of(track_ids)
    listeners = np.zeros(len(items), np.float32)
    if popularity:
        rows, known = items.rows(list(popularity))
        listeners[rows[known]] = np.array(list(popularity.values()), np.float32)[known]
    return assemble(version=None, algorithm="none", items=items, popularity=listeners)
