"""RP3beta: random walks of three steps, against popularity (Paudel, Christoffel, Newell & Bernstein 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer, top_k_products
from engine.models.search_space import NumberRange, SearchSpace
from engine.models.validation import require_non_negative, require_positive


@dataclass(frozen=True)
class RP3Beta(Trainer):
    """From a played track to a listener of it and on to a track of theirs, each step's probability to the power of
    alpha, divided by popularity^beta."""

    family: ClassVar[str] = "rp3beta"
    search_space: ClassVar[SearchSpace] = {"alpha": NumberRange(0.5, 1.6), "beta": NumberRange(0.0, 1.0)}
    search_share: ClassVar[float] = 1.5
    alpha: float = 1.0
    beta: float = 0.3
    neighbours: int = 400

    def __post_init__(self) -> None:
        require_positive(self, "alpha", "neighbours")
        require_non_negative(self, "beta")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """Memory for the products of a few hundred tracks at a time. Raises CannotTrain for an empty matrix."""
        if not matrix.nnz:
            raise CannotTrain("rp3beta: the matrix is empty")
        to_tracks = _steps(matrix, self.alpha)
        to_listeners = _steps(matrix.T.tocsr(), self.alpha)
        popularity = np.bincount(matrix.indices, minlength=matrix.shape[1])
        scale = np.power(np.maximum(popularity, 1.0), -self.beta).astype(np.float32)
        onward = sp.csr_matrix(to_tracks @ sp.diags(scale), dtype=np.float32)
        return FittedModel(neighbours=top_k_products(to_listeners, onward, self.neighbours, callbacks))


def _steps(matrix: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    """The probability of each step from a row, to the power of alpha."""
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    spread = np.repeat(totals, np.diff(matrix.indptr))
    data = np.power(matrix.data / spread, alpha).astype(np.float32)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), matrix.shape)
