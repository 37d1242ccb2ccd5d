"""Fold-in: the factors of a listener, computed from their current history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from engine.bundle.model_bundle import ModelBundle, Vector


@dataclass(frozen=True)
class FoldInSystem:
    """The linear system of one listener's fold-in: a · vector = tracksᵀ · targets.

    Attributes:
        tracks: the factors of the k tracks of the history as they were fitted, float64 (k, f).
        targets: float64 (k,).
        a: symmetric, float64 (f, f); None for the identity.
    """

    tracks: NDArray[np.float64]
    targets: NDArray[np.float64]
    a: NDArray[np.float64] | None

    def solve(self, b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a⁻¹ · b for one or several right-hand sides, float64 (f,) or (f, r)."""
        if self.a is None:
            return b
        _, x, info = lapack.dposv(self.a, b, lower=1)
        if info != 0:  # not positive definite: confidences below the offset and too little regularization
            x = np.linalg.lstsq(self.a, b, rcond=None)[0]
        return np.asarray(x)


def fold_in_system(bundle: ModelBundle, item_rows: NDArray[np.int64], confidence: Vector) -> FoldInSystem | None:
    """Set up a listener's system for `bundle.fold_in`; the arguments are those of `fold_in`.

    Returns:
        None if no confidence is positive, or if the version has no factors.
    """
    positive_count = int(np.count_nonzero(confidence > 0))
    n, f = bundle.item_factors.shape
    if not positive_count or not f:
        return None
    config = bundle.fold_in
    y = np.asarray(bundle.item_factors[item_rows], np.float64)
    if bundle.factor_damping:  # the bundle's factors are damped, but a fold-in needs those that were fitted
        y *= np.power(np.maximum(bundle.popularity[item_rows], 1), bundle.factor_damping)[:, None]
    c = confidence.astype(np.float64) * config.confidence_scale(positive_count)
    if config.kind == "project":
        return FoldInSystem(y, c, None)
    a = config.unobserved * bundle.gramian + (y.T * np.where(c > 0, c - config.offset, -c)) @ y
    a[np.diag_indices_from(a)] += config.ridge(positive_count, n)
    return FoldInSystem(y, np.maximum(c, 0), a)


def fold_in(bundle: ModelBundle, item_rows: NDArray[np.int64], confidence: Vector) -> Vector:
    """Solve for a listener's factors with the item factors held fixed.

    `bundle.fold_in` selects the method: one half-step of ALS (Hu, Koren & Volinsky 2008, eq. 4), or a projection. A
    negative confidence is treated as additional confidence in the preference 0, which all unplayed tracks have.

    Args:
        item_rows: distinct, int64 (k,).
        confidence: in each of these rows, float32 (k,).

    Returns:
        float32 (f,); zeros if no confidence is positive.
    """
    system = fold_in_system(bundle, item_rows, confidence)
    if system is None:
        return np.zeros(bundle.factors, np.float32)
    return np.asarray(system.solve(system.tracks.T @ system.targets), np.float32)
