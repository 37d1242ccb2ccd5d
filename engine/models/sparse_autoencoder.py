"""A sparse approximation of the linear autoencoder (EASE, EDLAE), for catalogues too large for its dense inverse.

Spišák, Bartyzal, Hoskovec, Peška & Tůma, "Scalable Approximate NonSymmetric Autoencoder for Collaborative Filtering"
(RecSys 2023), approximate the inverse of EASE by a sparse matrix. Here the inverse is restricted to the items that
co-occur most with each item, which leaves a small system for each; a sparse approximate inverse of this kind is due to
Kolotilina & Yeremin, "Factorized Sparse Approximate Inverse Preconditionings" (1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.item_knn import ItemKNN
from engine.models.linear_autoencoder import kappa
from engine.models.numba_kernels import lazy_njit, numba_threads, prange
from engine.models.search_space import POPULARITY_DAMPING, VOTE_RECENCY, Choice, NumberRange, SearchSpace
from engine.models.sparse_top_k import top_k_per_row
from engine.models.validation import require_between, require_choice, require_positive

_CHUNKS = 64  # of the items, divided among the threads
_MAX_STEPS = 50  # of conjugate gradients
_TOLERANCE = 1e-3  # relative norm of the residual at which they end


@dataclass(frozen=True)
class SparseAutoencoder(Trainer):
    """Ridge regression of each item on the items that co-occur most with it.

    The hyperparameters are those of `engine.models.linear_autoencoder.LinearAutoencoder`, of which this is the exact
    solution where every item is a candidate for every other.

    Attributes:
        candidates: how many items may have a weight for each item: those of the greatest cosine. The time grows
            with the number of their users.
        neighbours: how many weights to keep for each item.
    """

    family: ClassVar[str] = "sparse_autoencoder"
    search_space: ClassVar[SearchSpace] = {
        "l2": NumberRange(1, 1000, log=True),
        "dropout": NumberRange(0.1, 0.9),
        "diagonal": Choice(("free", "relaxed", "zero")),
        "damping": POPULARITY_DAMPING,
        "recency": VOTE_RECENCY,
    }
    search_share: ClassVar[float] = 2.0
    l2: float = 20.0
    dropout: float = 0.5
    diagonal: str = "free"
    relaxation: float = 0.3
    candidates: int = 200
    neighbours: int = 500

    def __post_init__(self) -> None:
        require_positive(self, "l2", "candidates", "neighbours")
        require_between(self, 0, 0.99, "dropout", "relaxation")
        require_choice(self, "diagonal", "zero", "relaxed", "free")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("sparse_autoencoder: the matrix is empty")
        similar = (
            ItemKNN(shrink=0.0, normalization="cosine", neighbours=self.candidates).fit(matrix, seed=seed).neighbours
        )
        assert similar is not None
        columns = sp.csc_matrix(matrix, dtype=np.float32)
        squares = np.bincount(matrix.indices, np.square(matrix.data, dtype=np.float64), matrix.shape[1])
        ridge = np.asarray(self.l2 + self.dropout / (1 - self.dropout) * squares, np.float64)
        weights, inverse_diagonal = np.zeros(similar.nnz, np.float32), np.zeros(matrix.shape[1])
        with numba_threads(threads):
            _fit_weights(
                similar.indptr,
                similar.indices,
                columns.indptr,
                columns.indices,
                columns.data,
                squares,
                ridge,
                matrix.shape[0],
                weights,
                inverse_diagonal,
            )
        callbacks.on_step(1, 1)
        # Column j of P has the diagonal p and, at the candidates, -p·w. Multiplied by -κ, that is what the weights are.
        scale = inverse_diagonal * kappa(self.diagonal, self.relaxation, ridge, lambda: inverse_diagonal)
        weights *= np.repeat(scale, np.diff(similar.indptr)).astype(np.float32)
        by_target = sp.csr_matrix((weights, similar.indices, similar.indptr), similar.shape)
        return FittedModel(neighbours=top_k_per_row(by_target.T.tocsr(), self.neighbours))


@lazy_njit(parallel=True)
def _fit_weights(
    indptr: Any,
    candidates: Any,
    starts: Any,
    column_users: Any,
    column_values: Any,
    squares: Any,
    ridge: Any,
    users: int,
    weights: Any,
    inverse_diagonal: Any,
) -> None:
    """Regress the column of each item on those of its candidates, by preconditioned conjugate gradients.

    Args:
        indptr, candidates: CSR; row j holds the candidates of item j.
        starts, column_users, column_values: the matrix as CSC float32.
        squares, ridge: float64 (items,), the diagonals of XᵀX and Λ.
        users: the number of rows of the matrix.
        weights: float32 (candidates of all items,), filled with w = (XᵀX + Λ)⁻¹ Xᵀx_j over the candidates of j.
        inverse_diagonal: float64 (items,), filled with the diagonal of P, restricted to j and its candidates.
    """
    items = len(indptr) - 1
    for chunk in prange(_CHUNKS):  # a chunk has its own arrays over all users, which are zero between two items
        use_counts = np.zeros(users, np.int32)
        row_of_user = np.zeros(users, np.int32)
        target_values = np.zeros(users, np.float32)
        for target in range(chunk, items, _CHUNKS):
            first = indptr[target]
            m = indptr[target + 1] - first
            entries = 0
            for q in range(m):
                item = candidates[first + q]
                entries += starts[item + 1] - starts[item]
                for p in range(starts[item], starts[item + 1]):
                    use_counts[column_users[p]] += 1
            for p in range(starts[target], starts[target + 1]):
                target_values[column_users[p]] = column_values[p]

            # Copy the candidates' columns, with their users numbered from 0, to read little memory below. Users of a
            # single candidate, who are most of them in sparse data, only add to the diagonal.
            local_starts = np.zeros(m + 1, np.int64)
            local_rows = np.empty(entries, np.int32)
            local_values = np.empty(entries, np.float32)
            diagonal = np.empty(m, np.float32)
            residual = np.zeros(m, np.float32)
            local_users, n = 0, 0
            for q in range(m):
                item = candidates[first + q]
                diagonal[q] = ridge[item]
                for p in range(starts[item], starts[item + 1]):
                    user, value = column_users[p], column_values[p]
                    residual[q] += value * target_values[user]
                    if use_counts[user] == 1:
                        diagonal[q] += value * value
                        continue
                    if use_counts[user] > 0:
                        row_of_user[user] = local_users
                        local_users += 1
                        use_counts[user] = -1  # numbered
                    local_rows[n] = row_of_user[user]
                    local_values[n] = value
                    n += 1
                local_starts[q + 1] = n
            for q in range(m):
                item = candidates[first + q]
                for p in range(starts[item], starts[item + 1]):
                    use_counts[column_users[p]] = 0
            for p in range(starts[target], starts[target + 1]):
                target_values[column_users[p]] = 0

            w = np.zeros(m, np.float32)
            right = residual.copy()
            scaled = np.empty(m, np.float32)  # the residual divided by the diagonal of XᵀX + Λ
            direction = np.empty(m, np.float32)
            image = np.empty(m, np.float32)
            product = np.empty(local_users, np.float32)
            squared = np.float32(0)
            for q in range(m):
                item = candidates[first + q]
                scaled[q] = residual[q] / np.float32(squares[item] + ridge[item])
                direction[q] = scaled[q]
                squared += scaled[q] * residual[q]
            smallest = squared * np.float32(_TOLERANCE * _TOLERANCE)
            for _ in range(_MAX_STEPS):
                if not squared > smallest:
                    break
                product[:] = 0
                for q in range(m):
                    for p in range(local_starts[q], local_starts[q + 1]):
                        product[local_rows[p]] += local_values[p] * direction[q]
                curvature = np.float32(0)
                for q in range(m):
                    s = diagonal[q] * direction[q]
                    for p in range(local_starts[q], local_starts[q + 1]):
                        s += local_values[p] * product[local_rows[p]]
                    image[q] = s
                    curvature += s * direction[q]
                step = squared / curvature
                before = squared
                squared = np.float32(0)
                for q in range(m):
                    item = candidates[first + q]
                    w[q] += step * direction[q]
                    residual[q] -= step * image[q]
                    scaled[q] = residual[q] / np.float32(squares[item] + ridge[item])
                    squared += scaled[q] * residual[q]
                for q in range(m):
                    direction[q] = scaled[q] + squared / before * direction[q]

            explained = 0.0
            for q in range(m):
                weights[first + q] = w[q]
                explained += right[q] * w[q]
            # Without rounding errors the difference is at least the ridge.
            inverse_diagonal[target] = 1 / max(squares[target] + ridge[target] - explained, ridge[target])
