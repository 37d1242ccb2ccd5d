"""Truncated singular value decomposition: the family that runs where others cannot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import svds

from engine.models.base import NO_CALLBACKS, FitCallbacks, FittedModel, FoldInConfig, Trainer
from engine.models.search_space import POPULARITY_DAMPING, Choice, SearchSpace
from engine.models.validation import require_positive


@dataclass(frozen=True)
class SVD(Trainer):
    """A listener's score for a track is their row projected on the strongest right singular vectors (PureSVD:
    Cremonesi, Koren & Turrin 2010), so a listener is folded in by the same product."""

    family: ClassVar[str] = "svd"
    search_space: ClassVar[SearchSpace] = {"factors": Choice((16, 32, 64, 128, 256)), "damping": POPULARITY_DAMPING}
    search_share: ClassVar[float] = 0.3
    factors: int = 64

    def __post_init__(self) -> None:
        require_positive(self, "factors")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """At most min(users, items) − 1 factors; none where that is below 1, or nothing was played."""
        k = min(self.factors, min(matrix.shape) - 1)
        if k < 1 or not matrix.nnz:
            users, items = matrix.shape
            return FittedModel(
                (np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32)), FoldInConfig("project")
            )
        start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
        _, values, right = svds(matrix.astype(np.float64), k=k, v0=start)
        item_factors = np.ascontiguousarray(right[np.argsort(-values)].T.astype(np.float32))
        item_factors[np.bincount(matrix.indices, minlength=matrix.shape[1]) == 0] = 0  # they are, but for rounding
        callbacks.on_step(1, 1)
        return FittedModel((np.asarray(matrix @ item_factors, np.float32), item_factors), FoldInConfig("project"))
