"""Bayesian personalised ranking (Rendle et al. 2009), by the `implicit` library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, FoldInConfig, Trainer
from engine.models.validation import require_non_negative, require_positive


@dataclass(frozen=True)
class BPR(Trainer):
    """Learns that a played track comes before one that was not; how much it was played does not matter."""

    family: ClassVar[str] = "bpr"
    # Not searched: it was less accurate than the other families on every data set tried.
    factors: int = 64
    iterations: int = 100
    learning_rate: float = 0.05
    regularization: float = 0.01

    def __post_init__(self) -> None:
        require_positive(self, "factors", "iterations", "learning_rate")
        require_non_negative(self, "regularization")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """The last factor is a track's bias, with a 1 on the listeners' side; a listener is folded in as by ALS. Raises
        CannotTrain for an empty matrix."""
        if not matrix.nnz:
            raise CannotTrain("bpr: the matrix is empty")
        from implicit.cpu.bpr import BayesianPersonalizedRanking  # an import that a serving process never needs

        model = BayesianPersonalizedRanking(
            factors=self.factors,
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            num_threads=threads,
            random_state=seed,
        )
        # implicit's own threads start from the seed in no fixed order; one thread is the reproducible case.
        model.fit(sp.csr_matrix(matrix > 0, dtype=np.float32), show_progress=False)
        callbacks.on_step(self.iterations, self.iterations)
        users, items = (np.array(side, np.float32) for side in (model.user_factors, model.item_factors))
        users[np.diff(matrix.indptr) == 0] = 0
        items[np.bincount(matrix.indices, minlength=matrix.shape[1]) == 0] = 0
        if not (np.isfinite(users).all() and np.isfinite(items).all()):
            raise FloatingPointError("BPR produced factors that are not finite")
        return FittedModel((users, items), FoldInConfig(regularization=1.0, unobserved=0.1, offset=0.0))
