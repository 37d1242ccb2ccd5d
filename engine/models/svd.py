"""Truncated singular value decomposition: the family that runs where ALS cannot."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from engine.models.als import Factors


def fit(matrix: sp.csr_matrix, *, factors: int, seed: int) -> Factors:
    """User factors `R·V` float32 (users, k) and item factors `V` float32 (items, k), k ≤ factors, of R = `matrix`.

    A listener's score for a track is their row of R projected on the k strongest right singular vectors (PureSVD:
    Cremonesi, Koren & Turrin 2010), so a listener is folded in by the same product.
    """
    k = min(factors, min(matrix.shape) - 1)
    if k < 1 or not matrix.nnz:
        return np.zeros((matrix.shape[0], 0), np.float32), np.zeros((matrix.shape[1], 0), np.float32)
    start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
    _, values, right = svds(matrix.astype(np.float64), k=k, v0=start)
    strongest_first = np.argsort(-values)
    item_factors = right[strongest_first].T.astype(np.float32)
    return np.asarray(matrix @ item_factors, np.float32), np.ascontiguousarray(item_factors)
