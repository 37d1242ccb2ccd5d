"""What every trainer is, and what it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.models.search_space import SearchSpace

Factors = tuple[NDArray[np.float32], NDArray[np.float32]]
"""User factors float32 (users, f) and item factors float32 (items, f); a score is their product."""


_BLOCK_PRODUCTS = 8_000_000  # of a block of rows: some 100 MB


class CannotTrain(Exception):
    """This family cannot learn from this matrix, and why: too large for it, too small, a library that is missing."""


@dataclass(frozen=True)
class FoldInConfig:
    """How a listener's vector x is computed from their plays and the item factors Y.

    solve: (unobserved·YᵀY + Σ (c−offset)·y yᵀ + λI) x = Σ c·y, λ = regularization·(k + unobserved·items)^exponent for
    k distinct tracks, each c times (k / mean_pairs)^activity / mean_confidence.
    offset 1, unobserved 1, exponent 0: Hu, Koren & Volinsky 2008. offset 0: Rendle et al. 2021 (see `ials`).
    project: x = Σ c·y.
    """

    kind: str = "solve"
    regularization: float = 0.01
    unobserved: float = 1.0
    exponent: float = 0.0
    offset: float = 1.0
    activity: float = 0.0
    mean_pairs: float = 1.0
    mean_confidence: float = 1.0

    def ridge(self, k: NDArray[np.int64] | int, others: int) -> Any:
        """λ of whoever has k partners of `others` in all; float64, shaped like k."""
        return self.regularization * np.power(k + self.unobserved * others, self.exponent)

    def confidence_scale(self, k: NDArray[np.int64] | int) -> Any:
        """By how much the confidences of a listener with k distinct tracks are multiplied; float64, shaped like k."""
        return np.power(np.maximum(k, 1) / self.mean_pairs, self.activity) / self.mean_confidence


@dataclass(frozen=True)
class FittedModel:
    """Factors, or neighbours. With neither, a family that offers what is popular.

    neighbours: CSR float32 (items, items), a row a played track, its entries the weights it lends to others, so that
    a listener's scores are their row of the matrix · neighbours.
    """

    factors: Factors | None = None
    fold_in: FoldInConfig = field(default_factory=FoldInConfig)
    neighbours: sp.csr_matrix | None = None


@dataclass(frozen=True)
class FitCallbacks:
    """What a fit tells while it goes on.

    step: called with the steps done and in all · look: called with (steps done, factors so far) after each step of a
    family that learns step by step; True ends the fit there.
    """

    on_step: Callable[[int, int], None] = lambda done, total: None
    should_stop: Callable[[int, Factors], bool] = lambda done, factors: False


NO_CALLBACKS = FitCallbacks()


@dataclass(frozen=True)
class Trainer(ABC):
    """A model family: its hyperparameters are the fields of a frozen dataclass, and `fit` learns from a matrix.

    To add a family, write one module with a subclass, add one `register` line to `engine.models`, and test it with
    `tests.engine.models.contract`. Configuration, storage, training, blending and the hyperparameter search then work
    with it. Fields must be numbers or strings, so that a configuration can be stored as JSON and compared; raise
    ValueError from `__post_init__` for values out of range (see `engine.models.validation`).

    Attributes:
        family: the name in settings and stored configurations; unique, and never changed once it has been stored.
        search_space: the hyperparameters that the search varies. A family without any is tried once, as it is.
        search_share: its share of the time of a search, relative to the other families; 0 leaves it out.
    """

    family: ClassVar[str]
    search_space: ClassVar[SearchSpace] = {}
    search_share: ClassVar[float] = 0.0

    @abstractmethod
    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """Fit the model; `matrix` is not changed, and the same seed on one thread gives the same result.

        Args:
            matrix: CSR float32 (users, items) of confidences, all above 0. Rows and columns may be empty.
            seed: of all random numbers.
            threads: how many to use; 0 for all cores.
            callbacks: told about the progress; `should_stop` is for families that improve factors step by step.

        Raises:
            CannotTrain: if the family cannot learn from this matrix or on this machine.
            FloatingPointError: if the result is not finite.
        """


def top_k_per_dense_row(weights: NDArray[Any], k: int) -> sp.csr_matrix:
    """The k entries greatest in absolute value of each row of a dense block; CSR float32, columns ascending."""
    k = min(k, weights.shape[1])
    kept = np.sort(np.argpartition(-np.abs(weights), k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(weights, kept, axis=1).astype(np.float32)
    return sp.csr_matrix((values.ravel(), kept.ravel(), np.arange(0, kept.size + 1, k)), weights.shape)


def stack_row_blocks(rows: list[sp.csr_matrix], tracks: NDArray[np.int64], items: int) -> sp.csr_matrix:
    """Blocks of rows and columns `tracks`, ascending, as (items, items): CSR float32 without zeros."""
    small = sp.vstack(rows, format="csr")
    lengths = np.zeros(items, np.int64)
    lengths[tracks] = np.diff(small.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    found = sp.csr_matrix((small.data, tracks[small.indices], indptr), (items, items), dtype=np.float32)
    found.eliminate_zeros()
    found.sort_indices()
    return found


def top_k_products(
    left: sp.csr_matrix,
    right: sp.csr_matrix,
    k: int,
    callbacks: FitCallbacks,
    adjust: Callable[[sp.csr_matrix, int], None] = lambda block, first: None,
) -> sp.csr_matrix:
    """left (items, users) · right (users, items) with the k strongest of each row but its own column: CSR float32.

    In blocks of rows, so that memory is for a block's products. adjust: changes a block's values in place, given its
    first row.
    """
    items = left.shape[0]
    products = np.cumsum(np.minimum((left != 0) @ np.diff(right.indptr), items))
    rows, begin = [], 0
    while begin < items:
        done = products[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(products, done + _BLOCK_PRODUCTS)))
        block = sp.csr_matrix(left[begin:end] @ right)
        adjust(block, begin)
        here = np.repeat(np.arange(begin, begin + block.shape[0]), np.diff(block.indptr))
        block.data[block.indices == here] = 0
        rows.append(top_k_per_row(block, k))
        begin = end
        callbacks.on_step(min(begin, items), items)
    return sp.vstack(rows, format="csr", dtype=np.float32)


def top_k_per_row(weights: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """The k entries greatest in absolute value of each row, columns ascending, zeros left out; CSR float32."""
    kept = [_strongest(weights.data[a:b], k) + a for a, b in zip(weights.indptr, weights.indptr[1:], strict=False)]
    where = np.concatenate(kept) if kept else np.zeros(0, np.int64)
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in kept])])
    best = sp.csr_matrix((weights.data[where].astype(np.float32), weights.indices[where], indptr), weights.shape)
    best.eliminate_zeros()
    best.sort_indices()
    return best


def _strongest(row: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    if len(row) <= k:
        return np.arange(len(row))
    return np.argpartition(-np.abs(row), k - 1)[:k]
