"""Fold-in: the factors a listener would have, computed from the plays they have now."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from engine.bundle.model_bundle import ModelBundle, Vector


def fold_in(bundle: ModelBundle, item_rows: NDArray[np.int64], confidence: Vector) -> Vector:
    """User factors float32 (f,) from distinct `item_rows` int64 (k,) and `confidence` float32 (k,) in them.

    As `engine.models.base.FoldInConfig` of the bundle says: one exact half-step of ALS with YᵀY from the bundle, or the
    projection of the listener's row. A confidence below zero is one in the preference 0, beyond that of a track that
    was not played. Nothing wanted, or no factors: zeros.
    """
    tracks = int(np.count_nonzero(confidence > 0))
    if not tracks or not bundle.factors:
        return np.zeros(bundle.factors, np.float32)
    how = bundle.fold_in
    played = np.asarray(bundle.item_factors[item_rows], np.float64)
    if bundle.factor_damping:  # the stored factors are damped for scoring
        played *= np.power(np.maximum(bundle.popularity[item_rows], 1), bundle.factor_damping)[:, None]
    c = confidence.astype(np.float64) * how.confidence_scale(tracks)
    if how.kind == "project":
        return np.asarray(played.T @ c, np.float32)
    wanted = played.T @ np.maximum(c, 0)
    a = how.unobserved * bundle.gramian + (played.T * np.where(c > 0, c - how.offset, -c)) @ played
    a[np.diag_indices_from(a)] += how.ridge(tracks, len(bundle.items))
    _, x, info = lapack.dposv(a, wanted, lower=1)
    if info != 0:  # not positive definite: confidences below the offset with too little regularisation
        x = np.linalg.lstsq(a, wanted, rcond=None)[0]
    return np.asarray(x, np.float32)
