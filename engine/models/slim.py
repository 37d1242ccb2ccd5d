"""SLIM: each track as a sparse non-negative combination of others (Ning & Karypis 2011)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer, top_k_per_row
from engine.models.item_knn import ItemKNN
from engine.models.numba_kernels import lazy_njit, prange
from engine.models.numba_kernels import numba_threads as compiled_threads
from engine.models.search_space import POPULARITY_DAMPING, NumberRange, SearchSpace
from engine.models.validation import require_non_negative, require_positive


@dataclass(frozen=True)
class SLIM(Trainer):
    """½|x_j − Xw|² + l1·|w| + ½·l2·|w|², w ≥ 0, w_j = 0, for every track j, by coordinate descent.

    candidates: tracks considered for each, the most alike by cosine; as in fsSLIM of the same paper. A sweep costs the
    plays of the candidates.
    """

    family: ClassVar[str] = "slim"
    search_space: ClassVar[SearchSpace] = {
        "l1": NumberRange(0.01, 10, log=True),
        "l2": NumberRange(0.1, 300, log=True),
        "damping": POPULARITY_DAMPING,
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
        """Raises CannotTrain for an empty matrix or without numba."""
        if not matrix.nnz:
            raise CannotTrain("slim: the matrix is empty")
        alike = (
            ItemKNN(shrink=0.0, normalization="cosine", neighbours=self.candidates).fit(matrix, seed=seed).neighbours
        )
        assert alike is not None
        columns = sp.csc_matrix(matrix, dtype=np.float32)
        weights = np.zeros(alike.nnz, np.float32)
        with compiled_threads(threads):
            _descend(
                alike.indptr,
                alike.indices,
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
        of_target = sp.csr_matrix((weights, alike.indices, alike.indptr), alike.shape)
        of_target.eliminate_zeros()
        return FittedModel(neighbours=top_k_per_row(of_target.T.tocsr(), self.candidates))


def _coordinate_descent(
    indptr: Any,
    candidates: Any,
    begins: Any,
    users: Any,
    values: Any,
    l1: Any,
    l2: Any,
    sweeps: int,
    listeners: int,
    weights: Any,
) -> None:
    for target in prange(len(indptr) - 1):
        first, last = indptr[target], indptr[target + 1]
        if first == last:
            continue
        residual = np.zeros(listeners, np.float32)
        for p in range(begins[target], begins[target + 1]):
            residual[users[p]] = values[p]
        for _ in range(sweeps):
            largest = np.float32(0)
            for q in range(first, last):
                track = candidates[q]
                dot, norm = np.float32(0), np.float32(0)
                for p in range(begins[track], begins[track + 1]):
                    dot += values[p] * residual[users[p]]
                    norm += values[p] * values[p]
                wanted = max(dot + norm * weights[q] - l1, np.float32(0)) / (norm + l2)
                change = wanted - weights[q]
                if change != 0:
                    for p in range(begins[track], begins[track + 1]):
                        residual[users[p]] -= change * values[p]
                    weights[q] = wanted
                    largest = max(largest, abs(change))
            if largest < 1e-4:
                break


_descend: Callable[..., None] = lazy_njit(parallel=True)(_coordinate_descent)
