"""Implicit ALS with regularization by frequency.

Rendle, Krichene, Zhang & Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks" (2021). The loss
is Σ_observed c·(1 − x·y)² + w·Σ_all (x·y)² + Σ λ_u |x_u|² + Σ λ_i |y_i|². Unlike in the paper, w and λ are relative to
the density of the matrix, so that the same hyperparameters suit small dense catalogues and large sparse ones:
w = unobserved_ratio · observed / all pairs, and a row with k observed pairs, where rows have k̄ on average, has
λ = regularization_ratio · k̄ · (k / k̄)^exponent.

Each half-step improves one side by a few steps of conjugate gradients from where it was (Takács, Pilászy & Tikk,
"Applications of the Conjugate Gradient Method for Implicit Feedback Collaborative Filtering", 2011).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, FoldInConfig, Trainer
from engine.models.numba_kernels import lazy_njit, numba_threads, prange
from engine.models.search_space import POPULARITY_DAMPING, Choice, NumberRange, SearchSpace
from engine.models.validation import MAX_EXPONENT, require_between, require_non_negative, require_positive

_CG_STEPS = 3  # enough for the loss of exact solves on every data set tried


@dataclass(frozen=True)
class IALS(Trainer):
    """Implicit ALS.

    Attributes:
        regularization_ratio: the regularization of a row with the mean number of interactions, relative to that number.
        unobserved_ratio: the weight of all pairs together, relative to that of the pairs with interactions. The mean
            confidence is scaled to 1.
        exponent: how the regularization grows with the number of interactions; 0 is the same for everybody.
        activity: the confidences of a user with k items are multiplied by (k / mean of all users)^activity.
        regularization: for recipes that were stored before there were ratios, with `unobserved`: a row with k of n
            pairs has λ = regularization · (k + unobserved · n)^exponent, as in the paper. 0 for the ratios.
        unobserved: for such recipes, the weight of each pair. 0 for the ratios.
    """

    family: ClassVar[str] = "ials"
    search_space: ClassVar[SearchSpace] = {
        "factors": Choice((32, 64, 128, 256)),
        "iterations": NumberRange(4, 20),
        "regularization_ratio": NumberRange(0.01, 1.0, log=True),
        "unobserved_ratio": NumberRange(1.0, 300.0, log=True),
        "exponent": NumberRange(0.2, 1.2),
        "activity": NumberRange(-0.4, 0.4),
        "damping": POPULARITY_DAMPING,
    }
    search_share: ClassVar[float] = 4.0
    factors: int = 128
    iterations: int = 12
    regularization_ratio: float = 0.1
    unobserved_ratio: float = 20.0
    exponent: float = 0.7
    activity: float = 0.0
    regularization: float = 0.0
    unobserved: float = 0.0

    def __post_init__(self) -> None:
        require_positive(self, "factors", "iterations", "regularization_ratio", "unobserved_ratio")
        require_non_negative(self, "regularization", "unobserved")
        require_between(self, 0, MAX_EXPONENT, "exponent")
        require_between(self, -MAX_EXPONENT, MAX_EXPONENT, "activity")
        if (self.regularization > 0) != (self.unobserved > 0):
            raise ValueError("ials: regularization must be above 0 if unobserved is, and 0 otherwise")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("ials: the matrix is empty")
        transposed = matrix.T.tocsr()
        user_config, item_config = self.side_configs(matrix, transposed)
        scale = user_config.confidence_scale(np.diff(matrix.indptr)).astype(np.float32)
        transposed.data *= scale[transposed.indices]  # of the users the kernel does it, which saves a copy
        ones = np.ones(matrix.shape[1], np.float32)
        rng = np.random.default_rng(seed)
        x, y = (rng.standard_normal((n, self.factors), np.float32) for n in matrix.shape)
        for side in (x, y):
            side *= np.float32(0.1 / np.sqrt(self.factors))
        with numba_threads(threads), threadpool_limits(threads or None, "blas"):
            for done in range(1, self.iterations + 1):
                half_step(matrix, scale, y, x, user_config)
                half_step(transposed, ones, x, y, item_config)
                callbacks.on_step(done, self.iterations)
                if callbacks.should_stop(done, (x, y)):
                    break
        return FittedModel((x, y), user_config)

    def side_configs(self, matrix: sp.csr_matrix, transposed: sp.csr_matrix) -> tuple[FoldInConfig, FoldInConfig]:
        """Return the configuration by which users are fitted, and later folded in, and that of the items."""
        active_users, active_items = (np.count_nonzero(np.diff(side.indptr)) for side in (matrix, transposed))
        user_mean, item_mean = matrix.nnz / active_users, matrix.nnz / active_items
        if self.unobserved:
            user_regularization = item_regularization = self.regularization
            unobserved, smoothing = self.unobserved, 1.0
        else:
            user_regularization, item_regularization = (
                self.regularization_ratio * mean ** (1 - self.exponent) for mean in (user_mean, item_mean)
            )
            unobserved, smoothing = self.unobserved_ratio * user_mean / active_items, 0.0
        users = FoldInConfig(
            regularization=user_regularization,
            unobserved=unobserved,
            exponent=self.exponent,
            smoothing=smoothing,
            offset=0.0,
            activity=self.activity,
            mean_pairs=user_mean,
            mean_confidence=float(matrix.data.mean(dtype=np.float64)),
        )
        return users, replace(users, regularization=item_regularization)


def half_step(
    observed: sp.csr_matrix,
    scale: NDArray[np.float32],
    fixed: NDArray[np.float32],
    free: NDArray[np.float32],
    config: FoldInConfig,
) -> None:
    """Improve the factors of one side in place, given those of the other.

    Args:
        observed: CSR float32 (rows of `free`, rows of `fixed`), confidences.
        scale: float32 (rows of `free`,), by which the confidences of each row are multiplied.
        fixed, free: float32 (rows, factors).
        config: the weight of unobserved pairs and the regularization.
    """
    gramian = np.float32(config.unobserved) * (fixed.T @ fixed)
    ridge = config.ridge(np.diff(observed.indptr), len(fixed)).astype(np.float32)
    _improve_rows(observed.indptr, observed.indices, observed.data, scale, fixed, gramian, free, ridge, _CG_STEPS)


@lazy_njit(parallel=True)
def _improve_rows(
    indptr: Any, indices: Any, data: Any, scale: Any, fixed: Any, gramian: Any, free: Any, ridge: Any, steps: int
) -> None:
    """Improve each row of `free` by a few steps of conjugate gradients.

    Written in plain loops: on rows of 64 factors, calling a BLAS routine costs more than its work. Products are summed
    for four rows of `fixed` or of the Gramian at a time, which takes a fifth less time than one by one.
    """
    f = fixed.shape[1]
    for row in prange(len(indptr) - 1):
        begin, end = indptr[row], indptr[row + 1]
        x = free[row]
        if begin == end:
            x[:] = 0
            continue
        residual = np.zeros(f, np.float32)
        direction = np.empty(f, np.float32)
        image = np.empty(f, np.float32)
        squared = np.float32(1)
        for step in range(steps + 1):
            if squared < 1e-20:
                break
            # The image of a vector v: unobserved·YᵀY·v + λ·v + Σ c·(y·v)·y. The first v is x, for the residual.
            v = direction if step else x
            for j in range(f):
                image[j] = ridge[row] * v[j]
            for i in range(0, f - 3, 4):
                v0, v1, v2, v3 = v[i], v[i + 1], v[i + 2], v[i + 3]
                for j in range(f):
                    image[j] += (
                        v0 * gramian[i, j] + v1 * gramian[i + 1, j] + v2 * gramian[i + 2, j] + v3 * gramian[i + 3, j]
                    )
            for i in range(f - f % 4, f):
                for j in range(f):
                    image[j] += v[i] * gramian[i, j]
            for p in range(begin, end - 3, 4):
                y0, y1, y2, y3 = fixed[indices[p]], fixed[indices[p + 1]], fixed[indices[p + 2]], fixed[indices[p + 3]]
                s0 = s1 = s2 = s3 = np.float32(0)
                for j in range(f):
                    s0 += y0[j] * v[j]
                    s1 += y1[j] * v[j]
                    s2 += y2[j] * v[j]
                    s3 += y3[j] * v[j]
                s0 *= scale[row] * data[p]
                s1 *= scale[row] * data[p + 1]
                s2 *= scale[row] * data[p + 2]
                s3 *= scale[row] * data[p + 3]
                for j in range(f):
                    image[j] += s0 * y0[j] + s1 * y1[j] + s2 * y2[j] + s3 * y3[j]
            for p in range(end - (end - begin) % 4, end):
                y = fixed[indices[p]]
                s = np.float32(0)
                for j in range(f):
                    s += y[j] * v[j]
                s *= scale[row] * data[p]
                for j in range(f):
                    image[j] += s * y[j]
            before = squared
            if step == 0:
                for p in range(begin, end):
                    y = fixed[indices[p]]
                    c = scale[row] * data[p]
                    for j in range(f):
                        residual[j] += c * y[j]
                squared = np.float32(0)
                for j in range(f):
                    residual[j] -= image[j]
                    direction[j] = residual[j]
                    squared += residual[j] * residual[j]
            else:
                curvature = np.float32(0)
                for j in range(f):
                    curvature += direction[j] * image[j]
                size = squared / curvature
                squared = np.float32(0)
                for j in range(f):
                    x[j] += size * direction[j]
                    residual[j] -= size * image[j]
                    squared += residual[j] * residual[j]
                for j in range(f):
                    direction[j] = residual[j] + squared / before * direction[j]
