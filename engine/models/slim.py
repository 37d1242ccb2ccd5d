"""SLIM: each item as a sparse, non-negative combination of other items.

Ning & Karypis, "SLIM: Sparse Linear Methods for Top-N Recommender Systems" (2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.item_knn import ItemKNN
from engine.models.numba_kernels import lazy_njit, numba_threads, prange
from engine.models.search_space import POPULARITY_DAMPING, VOTE_RECENCY, NumberRange, SearchSpace
from engine.models.sparse_top_k import top_k_per_row
from engine.models.validation import require_non_negative, require_positive


@dataclass(frozen=True)
class SLIM(Trainer):
    """Minimize ½|x_j − Xw|² + l1·|w|₁ + ½·l2·|w|² with w ≥ 0 and w_j = 0 for every item j, by coordinate descent.

    Attributes:
        candidates: how many items may have a weight for each item: those of the greatest cosine, as in fsSLIM of the
            same paper. The time of a sweep grows with the number of their users.
        sweeps: the most passes over the candidates of an item; it ends earlier once the weights hardly change.
    """

    family: ClassVar[str] = "slim"
    search_space: ClassVar[SearchSpace] = {
        "l1": NumberRange(0.01, 10, log=True),
        "l2": NumberRange(0.1, 300, log=True),
        "damping": POPULARITY_DAMPING,
        "recency": VOTE_RECENCY,
    }
    search_share: ClassVar[float] = 0.7
    l1: float = 0.1
    l2: float = 30.0
    candidates: int = 150
    sweeps: int = 8

    def __post_init__(self) -> None:
        require_positive(self, "candidates", "sweeps")
        require_non_negative(self, "l1", "l2")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("slim: the matrix is empty")
        similar = (
            ItemKNN(shrink=0.0, normalization="cosine", neighbours=self.candidates).fit(matrix, seed=seed).neighbours
        )
        assert similar is not None
        columns = sp.csc_matrix(matrix, dtype=np.float32)
        weights = np.zeros(similar.nnz, np.float32)
        with numba_threads(threads):
            _fit_weights(
                similar.indptr,
                similar.indices,
                columns.indptr,
                columns.indices,
                columns.data,
                np.float32(self.l1),
                np.float32(self.l2),
                self.sweeps,
                matrix.shape[0],
                weights,
            )
        callbacks.on_step(1, 1)
        by_target = sp.csr_matrix((weights, similar.indices, similar.indptr), similar.shape)
        by_target.eliminate_zeros()
        return FittedModel(neighbours=top_k_per_row(by_target.T.tocsr(), self.candidates))


@lazy_njit(parallel=True)
def _fit_weights(
    indptr: Any,
    candidates: Any,
    column_starts: Any,
    column_users: Any,
    column_values: Any,
    l1: Any,
    l2: Any,
    sweeps: int,
    users: int,
    weights: Any,
) -> None:
    """Fill in `weights`, float32 (nnz,), of the candidates of each item by coordinate descent.

    `indptr` and `candidates` are CSR: row j holds the candidates of item j. The columns of the matrix are CSC.
    """
    for target in prange(len(indptr) - 1):
        first, last = indptr[target], indptr[target + 1]
        if first == last:
            continue
        residual = np.zeros(users, np.float32)
        for p in range(column_starts[target], column_starts[target + 1]):
            residual[column_users[p]] = column_values[p]
        for _ in range(sweeps):
            largest = np.float32(0)
            for q in range(first, last):
                item = candidates[q]
                dot, norm = np.float32(0), np.float32(0)
                for p in range(column_starts[item], column_starts[item + 1]):
                    dot += column_values[p] * residual[column_users[p]]
                    norm += column_values[p] * column_values[p]
                best = max(dot + norm * weights[q] - l1, np.float32(0)) / (norm + l2)
                change = best - weights[q]
                if change != 0:
                    for p in range(column_starts[item], column_starts[item + 1]):
                        residual[column_users[p]] -= change * column_values[p]
                    weights[q] = best
                    largest = max(largest, abs(change))
            if largest < 1e-4:
                break
