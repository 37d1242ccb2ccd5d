"""Truncated singular value decomposition (PureSVD), which runs where the other families cannot.

Cremonesi, Koren & Turrin, "Performance of Recommender Algorithms on Top-N Recommendation Tasks" (2010).
"""

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
    """Project the rows of the matrix onto its first right singular vectors; fold-in is the same projection."""

    family: ClassVar[str] = "svd"
    search_space: ClassVar[SearchSpace] = {"factors": Choice((16, 32, 64, 128, 256)), "damping": POPULARITY_DAMPING}
    search_share: ClassVar[float] = 0.3
    factors: int = 64

    def __post_init__(self) -> None:
        require_positive(self, "factors")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """Fit at most min(users, items) − 1 factors; a matrix that is empty or too small gets none."""
        k = min(self.factors, min(matrix.shape) - 1)
        if k < 1 or not matrix.nnz:
            users, items = matrix.shape
            return FittedModel(
                (np.zeros((users, 0), np.float32), np.zeros((items, 0), np.float32)), FoldInConfig("project")
            )
        start = np.random.default_rng(seed).standard_normal(min(matrix.shape))
        _, values, right = svds(matrix.astype(np.float64), k=k, v0=start)
        item_factors = np.ascontiguousarray(right[np.argsort(-values)].T.astype(np.float32))
        # The exact factors of an item that nobody played are 0; remove the rounding errors.
        item_factors[np.bincount(matrix.indices, minlength=matrix.shape[1]) == 0] = 0
        callbacks.on_step(1, 1)
        return FittedModel((np.asarray(matrix @ item_factors, np.float32), item_factors), FoldInConfig("project"))
