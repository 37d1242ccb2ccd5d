"""A spectral filter of the graph of users and items (GF-CF).

Shen, Wu, Zhang, Shan, Zhang, Letaief & Li, "How Powerful is Graph Convolution for Recommendation?" (CIKM 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, svds
from threadpoolctl import threadpool_limits

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.numba_kernels import lazy_njit, numba_threads, prange
from engine.models.search_space import POPULARITY_DAMPING, VOTE_RECENCY, Choice, NumberRange, SearchSpace
from engine.models.sparse_top_k import top_k_products
from engine.models.validation import require_between, require_non_negative, require_positive

_TOLERANCE = 1e-3  # relative, of the singular values: the weights hardly change beyond it
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Spectral(Trainer):
    """Add a linear filter and an ideal low-pass filter of the normalized matrix.

    With R̃ = D_U^-user_exponent · R · D_I^-item_exponent, σ its greatest singular value and V its first right singular
    vectors, the weights between items are W = D_I^-tilt · (R̃ᵀR̃ / σ² + low_pass · VVᵀ) · D_I^tilt. D_U and D_I hold the
    row and column sums of R. The paper has the exponents and the tilt of the second term 0.5, and no tilt of the first.
    Only pairs of items that share a user get a weight, which takes a small part of the time of all pairs.

    Attributes:
        factors: the number of singular vectors.
        low_pass: the weight of the low-pass filter; 0 leaves it out.
        user_exponent: 0 counts every interaction alike, 1 every user.
        item_exponent: how much less a user counts for a popular item.
        tilt: moves weight from the popular items of a history to popular recommendations.
        neighbours: how many weights to keep for each item.
    """

    family: ClassVar[str] = "spectral"
    search_space: ClassVar[SearchSpace] = {
        "factors": Choice((32, 64, 128, 256)),
        "low_pass": NumberRange(0.01, 10.0, log=True),
        "user_exponent": NumberRange(0.0, 0.8),
        "item_exponent": NumberRange(0.0, 0.6),
        "tilt": NumberRange(0.0, 0.6),
        "damping": POPULARITY_DAMPING,
        "recency": VOTE_RECENCY,
    }
    search_share: ClassVar[float] = 1.5
    factors: int = 64
    low_pass: float = 0.3
    user_exponent: float = 0.5
    item_exponent: float = 0.4
    tilt: float = 0.25
    neighbours: int = 400

    def __post_init__(self) -> None:
        require_positive(self, "factors", "neighbours")
        require_non_negative(self, "low_pass")
        require_between(self, 0, 1, "user_exponent", "item_exponent", "tilt")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("spectral: the matrix is empty")
        user_sums, item_sums = (np.asarray(matrix.sum(axis=axis), np.float64).ravel() for axis in (1, 0))
        if not np.isfinite(user_sums).all():
            raise FloatingPointError("spectral: the confidences are not finite")
        user_scale, item_scale, tilt = (
            np.power(sums, exponent, out=np.zeros_like(sums), where=sums > 0)
            for sums, exponent in (
                (user_sums, -self.user_exponent),
                (item_sums, -self.item_exponent),
                (item_sums, self.tilt),
            )
        )
        normalized = sp.csr_matrix(sp.diags(user_scale) @ matrix @ sp.diags(item_scale), dtype=np.float32)
        with threadpool_limits(threads or None, "blas"):
            values, vectors = _right_singular_vectors(normalized, self.factors if self.low_pass else 1, seed)
        linear = sp.csr_matrix(normalized.T / values[0] ** 2, dtype=np.float32)

        def add_low_pass(block: sp.csr_matrix, first_row: int) -> None:
            weight, tilts = np.float32(self.low_pass), tilt.astype(np.float32)
            _add_low_pass(block.indptr, block.indices, block.data, first_row, vectors, weight, tilts)

        with numba_threads(threads):
            neighbours = top_k_products(linear, normalized, self.neighbours, callbacks, add_low_pass)
        return FittedModel(neighbours=neighbours)


@lazy_njit(parallel=True)
def _add_low_pass(indptr: Any, columns: Any, data: Any, first_row: int, vectors: Any, weight: Any, tilts: Any) -> None:
    """Add weight·VVᵀ to the entries of a block of rows in place, then tilt them.

    Args:
        indptr, columns, data: CSR float32, the rows from `first_row`.
        vectors: float32 (items, f), the rows of V.
        tilts: float32 (items,), D_I^tilt.
    """
    for row in prange(len(indptr) - 1):
        item = first_row + row
        for p in range(indptr[row], indptr[row + 1]):
            dot = np.float32(0)
            for f in range(vectors.shape[1]):
                dot += vectors[item, f] * vectors[columns[p], f]
            data[p] = (data[p] + weight * dot) * tilts[columns[p]] / tilts[item]


def _right_singular_vectors(matrix: sp.csr_matrix, k: int, seed: int) -> tuple[Vector, NDArray[np.float32]]:
    """Return the greatest singular values, descending, float32 (k,), and their right vectors, float32 (columns, k).

    There are fewer than k where the rank of the matrix is lower.
    """
    smaller = min(matrix.shape)
    if k >= smaller:  # too many for ARPACK
        _, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    else:
        start = np.random.default_rng(seed).standard_normal(smaller).astype(np.float32)
        try:
            _, values, right = svds(matrix, k=k, v0=start, tol=_TOLERANCE, return_singular_vectors="vh")
        except ArpackError as error:
            raise CannotTrain(f"spectral: {error}") from error
    order = np.argsort(-values)
    order = order[values[order] > _TOLERANCE * values[order[0]]]  # vectors of singular values of 0 are arbitrary
    return values[order], np.ascontiguousarray(right[order].T)
