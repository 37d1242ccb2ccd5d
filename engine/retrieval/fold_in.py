"""Fold-in: the factors of a listener, computed from their current history."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from engine.bundle.model_bundle import ModelBundle, Vector


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
    positive_count = int(np.count_nonzero(confidence > 0))
    n, f = bundle.item_factors.shape
    if not positive_count or not f:
        return np.zeros(f, np.float32)
    config = bundle.fold_in
    y = np.asarray(bundle.item_factors[item_rows], np.float64)
    if bundle.factor_damping:  # the bundle's factors are damped, but a fold-in needs those that were fitted
        y *= np.power(np.maximum(bundle.popularity[item_rows], 1), bundle.factor_damping)[:, None]
    c = confidence.astype(np.float64) * config.confidence_scale(positive_count)
    if config.kind == "project":
        return np.asarray(y.T @ c, np.float32)
    b = y.T @ np.maximum(c, 0)
    a = config.unobserved * bundle.gramian + (y.T * np.where(c > 0, c - config.offset, -c)) @ y
    a[np.diag_indices_from(a)] += config.ridge(positive_count, n)
    _, x, info = lapack.dposv(a, b, lower=1)
    if info != 0:  # not positive definite: confidences below the offset and too little regularization
        x = np.linalg.lstsq(a, b, rcond=None)[0]
    return np.asarray(x, np.float32)
