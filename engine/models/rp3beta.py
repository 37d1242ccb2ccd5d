"""RP3beta: random walks of three steps with a penalty on popular items.

Paudel, Christoffel, Newell & Bernstein, "Updatable, Accurate, Diverse, and Scalable Recommendations for Interactive
Applications" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.search_space import VOTE_RECENCY, NumberRange, SearchSpace
from engine.models.sparse_top_k import top_k_products
from engine.models.validation import MAX_EXPONENT, require_non_negative, require_positive


@dataclass(frozen=True)
class RP3Beta(Trainer):
    """The weight of two items is the probability of walking from one to a user of it and on to the other.

    Attributes:
        alpha: the exponent of the probability of each step.
        beta: the weight is divided by (users of the target item)^beta.
        neighbours: how many to keep for each item.
    """

    family: ClassVar[str] = "rp3beta"
    search_space: ClassVar[SearchSpace] = {
        "alpha": NumberRange(0.5, 1.6),
        "beta": NumberRange(0.0, 1.0),
        "recency": VOTE_RECENCY,
    }
    search_share: ClassVar[float] = 1.5
    alpha: float = 1.0
    beta: float = 0.3
    neighbours: int = 400

    def __post_init__(self) -> None:
        require_positive(self, "neighbours")
        require_positive(self, "alpha", at_most=MAX_EXPONENT)
        require_non_negative(self, "beta", at_most=MAX_EXPONENT)

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("rp3beta: the matrix is empty")
        to_items = _step_probabilities(matrix, self.alpha)
        to_users = _step_probabilities(matrix.T.tocsr(), self.alpha)
        user_counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        scale = np.power(np.maximum(user_counts, 1.0), -self.beta).astype(np.float32)
        penalized = sp.csr_matrix(to_items @ sp.diags(scale), dtype=np.float32)
        return FittedModel(neighbours=top_k_products(to_users, penalized, self.neighbours, callbacks))


def _step_probabilities(matrix: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    """Return the probability of stepping from each row to each column, to the power of `alpha`; CSR float32."""
    totals = np.asarray(matrix.sum(axis=1)).ravel()
    row_totals = np.repeat(totals, np.diff(matrix.indptr))
    data = np.power(matrix.data / row_totals, alpha).astype(np.float32)
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), matrix.shape)
