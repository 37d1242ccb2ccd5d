"""Fold-in: the factors a listener would have, computed from the plays they have now."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from engine.bundle import ModelBundle, Vector


def fold_in(bundle: ModelBundle, item_rows: NDArray[np.int64], confidence: Vector) -> Vector:
    """User factors float32 (f,) from played tracks: distinct `item_rows` int64 (k,), `confidence` float32 (k,).

    ALS: one exact half-step, (YᵀY + Yᵀ(C−I)Y + λI) x = YᵀC·p, with YᵀY from the bundle (Hu, Koren & Volinsky 2008,
    eq. 4). SVD: the projection of the listener's row. No plays, or no factors: zeros.
    """
    if not len(item_rows) or not bundle.factors:
        return np.zeros(bundle.factors, np.float32)
    played = np.asarray(bundle.item_factors[item_rows], np.float64)
    weighted = played.T @ confidence.astype(np.float64)
    if bundle.algorithm == "svd":
        return weighted.astype(np.float32)
    a = bundle.gramian + (played.T * (confidence - 1.0)) @ played
    a[np.diag_indices_from(a)] += bundle.regularization
    _, x, info = lapack.dposv(a, weighted, lower=1)
    if info != 0:  # not positive definite: confidences below 1 with too little regularisation
        x = np.linalg.lstsq(a, weighted, rcond=None)[0]
    return np.asarray(x, np.float32)
