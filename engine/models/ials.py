"""Implicit ALS with regularization by frequency.

Rendle, Krichene, Zhang & Koren, "Revisiting the Performance of iALS on Item Recommendation Benchmarks" (2021). The loss
is Σ_observed c·(1 − x·y)² + unobserved·Σ_all (x·y)² + Σ λ_u |x_u|² + Σ λ_i |y_i|², where a row with k observed of n
entries has λ = regularization · (k + unobserved · n)^exponent. Each half-step improves one side by a few steps of
conjugate gradients from where it was (Takács, Pilászy & Tikk, "Applications of the Conjugate Gradient Method for
Implicit Feedback Collaborative Filtering", 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, FoldInConfig, Trainer
from engine.models.numba_kernels import lazy_njit, numba_threads, prange
from engine.models.search_space import POPULARITY_DAMPING, Choice, NumberRange, SearchSpace
from engine.models.validation import require_non_negative, require_positive

_CG_STEPS = 3  # enough for the loss of exact solves on every data set tried


@dataclass(frozen=True)
class IALS(Trainer):
    """Implicit ALS.

    Attributes:
        unobserved: the weight of a pair without interactions; the mean confidence of the others is scaled to 1.
        exponent: how the regularization grows with the number of interactions; 0 is the same for everybody.
        activity: the confidences of a user with k items are multiplied by (k / mean of all users)^activity.
    """

    family: ClassVar[str] = "ials"
    search_space: ClassVar[SearchSpace] = {
        "factors": Choice((32, 64, 128, 256)),
        "iterations": NumberRange(4, 20),
        "regularization": NumberRange(1e-3, 0.1, log=True),
        "unobserved": NumberRange(0.005, 1.0, log=True),
        "exponent": NumberRange(0.6, 1.2),
        "activity": NumberRange(-0.4, 0.4),
        "damping": POPULARITY_DAMPING,
    }
    search_share: ClassVar[float] = 4.0
    factors: int = 128
    iterations: int = 12
    regularization: float = 0.01
    unobserved: float = 0.1
    exponent: float = 1.0
    activity: float = 0.0

    def __post_init__(self) -> None:
        require_positive(self, "factors", "iterations", "regularization", "unobserved")
        require_non_negative(self, "exponent")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("ials: the matrix is empty")
        fold_in = self.fold_in_config(matrix)
        observed = scale_confidences(matrix, fold_in)
        sides = observed, observed.T.tocsr()
        rng = np.random.default_rng(seed)
        scale = 0.1 / np.sqrt(self.factors)
        x, y = (rng.standard_normal((n, self.factors), np.float32) * np.float32(scale) for n in matrix.shape)
        ridges = [fold_in.ridge(np.diff(s.indptr), s.shape[1]).astype(np.float32) for s in sides]
        with numba_threads(threads), threadpool_limits(threads or None, "blas"):
            for done in range(1, self.iterations + 1):
                half_step(sides[0], y, x, ridges[0], self.unobserved)
                half_step(sides[1], x, y, ridges[1], self.unobserved)
                callbacks.on_step(done, self.iterations)
                if callbacks.should_stop(done, (x, y)):
                    break
        return FittedModel((x, y), fold_in)

    def fold_in_config(self, matrix: sp.csr_matrix) -> FoldInConfig:
        """Return the configuration by which the users of `matrix` are fitted, and others folded in."""
        active_users = np.count_nonzero(np.diff(matrix.indptr))
        return FoldInConfig(
            regularization=self.regularization,
            unobserved=self.unobserved,
            exponent=self.exponent,
            offset=0.0,
            activity=self.activity,
            mean_pairs=float(matrix.nnz / active_users),
            mean_confidence=float(matrix.data.mean()),
        )


def scale_confidences(matrix: sp.csr_matrix, fold_in: FoldInConfig) -> sp.csr_matrix:
    """Return the matrix with the confidences that the loss uses; CSR float32."""
    k = np.diff(matrix.indptr)
    weights = (matrix.data * np.repeat(fold_in.confidence_scale(k), k)).astype(np.float32)
    return sp.csr_matrix((weights, matrix.indices, matrix.indptr), matrix.shape)


def half_step(
    observed: sp.csr_matrix,
    fixed: NDArray[np.float32],
    free: NDArray[np.float32],
    ridge: NDArray[np.float32],
    unobserved: float,
) -> None:
    """Improve the factors of one side in place, given those of the other.

    Args:
        observed: CSR float32 (rows of `free`, rows of `fixed`), scaled confidences.
        fixed, free: float32 (rows, factors).
        ridge: float32 (rows of `free`,), the regularization of each.
    """
    gramian = np.float32(unobserved) * (fixed.T @ fixed)
    _improve_rows(observed.indptr, observed.indices, observed.data, fixed, gramian, free, ridge, _CG_STEPS)


@lazy_njit(parallel=True)
def _improve_rows(
    indptr: Any, indices: Any, data: Any, fixed: Any, gramian: Any, free: Any, ridge: Any, steps: int
) -> None:
    """Improve each row of `free` by a few steps of conjugate gradients.

    Written in plain loops: on rows of 64 factors, calling a BLAS routine costs more than its work.
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
        for i in range(f):
            s = np.float32(0)
            for j in range(f):
                s += gramian[i, j] * x[j]
            residual[i] = -s - ridge[row] * x[i]
        for p in range(begin, end):
            y = fixed[indices[p]]
            s = np.float32(0)
            for j in range(f):
                s += y[j] * x[j]
            s = data[p] * (np.float32(1) - s)
            for j in range(f):
                residual[j] += s * y[j]
        squared = np.float32(0)
        for j in range(f):
            direction[j] = residual[j]
            squared += residual[j] * residual[j]
        for _ in range(steps):
            if squared < 1e-20:
                break
            curvature = np.float32(0)
            for i in range(f):
                s = np.float32(0)
                for j in range(f):
                    s += gramian[i, j] * direction[j]
                image[i] = s + ridge[row] * direction[i]
            for p in range(begin, end):
                y = fixed[indices[p]]
                s = np.float32(0)
                for j in range(f):
                    s += y[j] * direction[j]
                s *= data[p]
                for j in range(f):
                    image[j] += s * y[j]
            for j in range(f):
                curvature += direction[j] * image[j]
            step = squared / curvature
            before = squared
            squared = np.float32(0)
            for j in range(f):
                x[j] += step * direction[j]
                residual[j] -= step * image[j]
                squared += residual[j] * residual[j]
            for j in range(f):
                direction[j] = residual[j] + squared / before * direction[j]
