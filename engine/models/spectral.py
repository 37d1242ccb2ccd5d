"""A spectral filter of the graph of users and items (GF-CF).

Shen, Wu, Zhang, Shan, Zhang, Letaief & Li, "How Powerful is Graph Convolution for Recommendation?" (CIKM 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, svds
from threadpoolctl import threadpool_limits

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.search_space import POPULARITY_DAMPING, VOTE_RECENCY, Choice, NumberRange, SearchSpace
from engine.models.sparse_top_k import stack_row_blocks, top_k_per_dense_row
from engine.models.validation import require_between, require_non_negative, require_positive

# The time grows with the square of the number of items: this many take about ten minutes on two cores.
MAX_ITEMS = 200_000
_BLOCK_BYTES = 64 << 20  # of dense weights in memory at once
_TOLERANCE = 1e-3  # relative, of the singular values: the weights hardly change beyond it
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Spectral(Trainer):
    """Add a linear filter and an ideal low-pass filter of the normalized matrix.

    With R̃ = D_U^-user_exponent · R · D_I^-item_exponent, σ its greatest singular value and V its first right singular
    vectors, the weights between items are W = D_I^-tilt · (R̃ᵀR̃ / σ² + low_pass · VVᵀ) · D_I^tilt. D_U and D_I hold the
    row and column sums of R. The paper has the exponents and the tilt of the second term 0.5, and no tilt of the first.

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
    factors: int = 128
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
        """Fit the model; raises CannotTrain if more than `MAX_ITEMS` items have been played."""
        if not matrix.nnz:
            raise CannotTrain("spectral: the matrix is empty")
        users, items = np.flatnonzero(np.diff(matrix.indptr)), np.unique(matrix.indices)
        if len(items) > MAX_ITEMS:
            raise CannotTrain(f"spectral: {len(items):,} items with plays; there may be at most {MAX_ITEMS:,}")
        r = matrix[users][:, items]
        user_sums, item_sums = (np.asarray(r.sum(axis=axis), np.float64).ravel() for axis in (1, 0))
        if not np.isfinite(user_sums).all():
            raise FloatingPointError("spectral: the confidences are not finite")
        user_scale, item_scale = np.power(user_sums, -self.user_exponent), np.power(item_sums, -self.item_exponent)
        normalized = sp.csr_matrix(sp.diags(user_scale) @ r @ sp.diags(item_scale), dtype=np.float32)
        tilt = np.power(item_sums, self.tilt).astype(np.float32)
        row_blocks = []
        with threadpool_limits(threads or None, "blas"):
            for begin, block in self._blocks(normalized, seed):
                block *= tilt
                block /= tilt[begin : begin + len(block), None]
                # An item that was played is not recommended again, so that its weight for itself is of no use.
                block[np.arange(len(block)), begin + np.arange(len(block))] = 0
                row_blocks.append(top_k_per_dense_row(block, self.neighbours))
                callbacks.on_step(begin + len(block), len(items))
        return FittedModel(neighbours=stack_row_blocks(row_blocks, items, matrix.shape[1]))

    def _blocks(self, normalized: sp.csr_matrix, seed: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Yield R̃ᵀR̃ / σ² + low_pass · VVᵀ in dense blocks of rows, each with the number of its first row."""
        items = normalized.shape[1]
        values, vectors = _right_singular_vectors(normalized, self.factors if self.low_pass else 1, seed)
        linear, low_pass = sp.csr_matrix(normalized.T / values[0] ** 2), np.float32(self.low_pass) * vectors.T
        size = max(1, _BLOCK_BYTES // (4 * items))
        for begin in range(0, items, size):
            rows = slice(begin, begin + size)
            block = (linear[rows] @ normalized).toarray()
            if self.low_pass:
                block += vectors[rows] @ low_pass
            yield begin, block


def _right_singular_vectors(matrix: sp.csr_matrix, k: int, seed: int) -> tuple[Vector, NDArray[np.float32]]:
    """Return the greatest singular values, descending, float32 (k,), and their right vectors, float32 (columns, k).

    There are fewer than k where the matrix has fewer rows or columns.
    """
    smaller = min(matrix.shape)
    if k >= smaller:  # too many for ARPACK
        _, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
        return values, np.ascontiguousarray(right.T)
    start = np.random.default_rng(seed).standard_normal(smaller).astype(np.float32)
    try:
        _, values, right = svds(matrix, k=k, v0=start, tol=_TOLERANCE, return_singular_vectors="vh")
    except ArpackError as error:
        raise CannotTrain(f"spectral: {error}") from error
    order = np.argsort(-values)
    return values[order], np.ascontiguousarray(right[order].T)
