"""Alternating least squares for implicit feedback (Hu, Koren & Volinsky 2008), by the `implicit` library."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

Factors = tuple[NDArray[np.float32], NDArray[np.float32]]


def fit(
    matrix: sp.csr_matrix,
    *,
    factors: int,
    iterations: int,
    regularization: float,
    seed: int,
    threads: int = 0,
    on_iteration: Callable[[int], None] = lambda done: None,
) -> Factors:
    """User factors float32 (users, factors) and item factors float32 (items, factors) of a confidence matrix.

    threads: 0 for all cores. Raises whatever `implicit` raises, and FloatingPointError where factors are not finite.
    """
    from implicit.cpu.als import AlternatingLeastSquares  # an import of 0.5 s that a serving process never needs

    # More than one BLAS thread under implicit's own threads makes it a fifth slower.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=regularization,
            alpha=1.0,
            iterations=iterations,
            use_cg=True,
            num_threads=threads,
            random_state=seed,
        )
        model.fit(matrix, show_progress=False, callback=lambda done, seconds, *rest: on_iteration(done + 1))
    user_factors, item_factors = np.asarray(model.user_factors), np.asarray(model.item_factors)
    if not (np.isfinite(user_factors).all() and np.isfinite(item_factors).all()):
        raise FloatingPointError("ALS produced factors that are not finite")
    return user_factors, item_factors
