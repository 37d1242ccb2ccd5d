"""Bayesian personalized ranking, by the `implicit` library.

Rendle, Freudenthaler, Gantner & Schmidt-Thieme, "BPR: Bayesian Personalized Ranking from Implicit Feedback" (2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, FoldInConfig, Trainer
from engine.models.validation import require_non_negative, require_positive


@dataclass(frozen=True)
class BPR(Trainer):
    """Learn to rank played items above others; the confidences make no difference.

    The same seed gives the same factors on one thread only: with more, threads update shared factors without locks and
    take their seeds in no fixed order. Set MUSICREC_TRAINING_THREADS to 1 if results must be reproducible.
    """

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
        """Fit the model; its last factor is the bias of the item, which is 1 for all users.

        BPR has no fold-in of its own, so users are folded in as if the factors were from ALS.
        """
        if not matrix.nnz:
            raise CannotTrain("bpr: the matrix is empty")
        from implicit.cpu.bpr import BayesianPersonalizedRanking  # serving never needs it

        model = BayesianPersonalizedRanking(
            factors=self.factors,
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            num_threads=threads,
            random_state=seed,
        )
        model.fit(sp.csr_matrix(matrix > 0, dtype=np.float32), show_progress=False)
        callbacks.on_step(self.iterations, self.iterations)
        users, items = (np.array(side, np.float32) for side in (model.user_factors, model.item_factors))
        users[np.diff(matrix.indptr) == 0] = 0
        items[np.bincount(matrix.indices, minlength=matrix.shape[1]) == 0] = 0
        return FittedModel((users, items), FoldInConfig(regularization=1.0, unobserved=0.1, offset=0.0))
