"""Alternating least squares for implicit feedback, by the `implicit` library.

Hu, Koren & Volinsky, "Collaborative Filtering for Implicit Feedback Datasets" (2008).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from engine.models.base import NO_CALLBACKS, FitCallbacks, FittedModel, FoldInConfig, Trainer
from engine.models.validation import require_positive


@dataclass(frozen=True)
class ALS(Trainer):
    """ALS with the same regularization for every user and item."""

    family: ClassVar[str] = "als"
    # Not searched: `ials` is the same model with regularization by frequency, and was at least as accurate.
    factors: int = 64
    iterations: int = 15
    regularization: float = 0.01

    def __post_init__(self) -> None:
        require_positive(self, "factors", "iterations", "regularization")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """Fit the model; besides the errors of `Trainer.fit`, raises whatever `implicit` raises."""
        from implicit.cpu.als import AlternatingLeastSquares  # takes 0.5 s, and serving never needs it

        # implicit runs its own threads; more than one BLAS thread in each of them makes it a fifth slower.
        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=1.0,
                iterations=self.iterations,
                use_cg=True,
                num_threads=threads,
                random_state=seed,
            )
            model.fit(
                matrix,
                show_progress=False,
                callback=lambda done, seconds, *rest: callbacks.on_step(done + 1, self.iterations),
            )
        factors = np.asarray(model.user_factors), np.asarray(model.item_factors)
        return FittedModel(factors, FoldInConfig(regularization=self.regularization))
