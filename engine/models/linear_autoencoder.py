"""Linear autoencoders: EASE (Steck 2019), EDLAE (Steck 2020) and RDLAE (Moon, Kim & Lee 2023).

With Λ = l2·I + dropout/(1−dropout)·diag(XᵀX) and P = (XᵀX + Λ)⁻¹ the item–item weights are B = I − P·diag(κ), where κ
is diag(Λ) for a `free` diagonal (plain ridge regression), 1/diag(P) for a `zero` one (EASE; with dropout EDLAE), and
between the two for a `relaxed` one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from engine.models.base import (
    NO_CALLBACKS,
    CannotTrain,
    FitCallbacks,
    FittedModel,
    Trainer,
    stack_row_blocks,
    top_k_per_dense_row,
)
from engine.models.search_space import POPULARITY_DAMPING, Choice, NumberRange, SearchSpace
from engine.models.validation import require_between, require_choice, require_positive

MAX_SIDE = 10_000  # of the dense matrix to be solved, listeners or tracks, whichever are fewer: 0.8 GB, twice
_BLOCK_BYTES = 64 << 20
Dense = NDArray[np.float64]


@dataclass(frozen=True)
class LinearAutoencoder(Trainer):
    """relaxation: RDLAE's ξ, how far a diagonal may go · neighbours: kept of each track."""

    family: ClassVar[str] = "linear_autoencoder"
    search_space: ClassVar[SearchSpace] = {
        "l2": NumberRange(1, 1000, log=True),
        "dropout": NumberRange(0.1, 0.9),
        "diagonal": Choice(("free", "relaxed", "zero")),
        "damping": POPULARITY_DAMPING,
    }
    search_share: ClassVar[float] = 2.0
    l2: float = 50.0
    dropout: float = 0.5
    diagonal: str = "free"
    relaxation: float = 0.3
    neighbours: int = 500

    def __post_init__(self) -> None:
        require_positive(self, "l2", "neighbours")
        require_between(self, 0, 0.99, "dropout", "relaxation")
        require_choice(self, "diagonal", "zero", "relaxed", "free")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        """Raises CannotTrain where both listeners and tracks are more than MAX_SIDE."""
        if not matrix.nnz:
            raise CannotTrain("linear_autoencoder: the matrix is empty")
        users, items = np.flatnonzero(np.diff(matrix.indptr)), np.unique(matrix.indices)
        if min(len(users), len(items)) > MAX_SIDE:
            raise CannotTrain(
                f"linear_autoencoder: {len(users):,} listeners and {len(items):,} tracks, both above {MAX_SIDE:,}"
            )
        x = sp.csr_matrix(matrix[users][:, items], dtype=np.float64)
        ridge = self.l2 + self.dropout / (1 - self.dropout) * np.asarray(x.multiply(x).sum(axis=0)).ravel()
        inverse = _ByUsers(x, ridge) if len(users) < len(items) else _ByItems(x, ridge)
        kappa = self._kappa(inverse, ridge)
        rows = []
        for begin, block in inverse.blocks():
            weights = -block * kappa
            weights[np.arange(len(block)), begin + np.arange(len(block))] = 0  # says nothing of a track not yet played
            rows.append(top_k_per_dense_row(weights, self.neighbours))
            callbacks.on_step(begin + len(block), len(items))
        return FittedModel(neighbours=stack_row_blocks(rows, items, matrix.shape[1]))

    def _kappa(self, inverse: _ByUsers | _ByItems, ridge: Dense) -> Dense:
        if self.diagonal == "free":
            return ridge
        diagonal = inverse.diagonal()
        if self.diagonal == "zero":
            return np.asarray(1 / diagonal)
        return np.where(1 - ridge * diagonal > self.relaxation, (1 - self.relaxation) / diagonal, ridge)


class _ByItems:
    """P as the inverse of a matrix of tracks by tracks."""

    def __init__(self, x: sp.csr_matrix, ridge: Dense) -> None:
        gram = (x.T @ x).toarray()
        gram[np.diag_indices_from(gram)] += ridge
        factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        self.p: Dense = cho_solve(factor, np.eye(len(gram)), overwrite_b=True, check_finite=False)

    def diagonal(self) -> Dense:
        return np.asarray(np.diag(self.p))

    def blocks(self) -> Iterator[tuple[int, Dense]]:
        size = max(1, _BLOCK_BYTES // (8 * len(self.p)))
        return ((begin, self.p[begin : begin + size]) for begin in range(0, len(self.p), size))


class _ByUsers:
    """P by Woodbury's identity: Λ⁻¹ − Λ⁻¹Xᵀ(I + XΛ⁻¹Xᵀ)⁻¹XΛ⁻¹, which solves for listeners where they are fewer.

    Solved for a block of tracks at a time: all of it at once would be a dense matrix of listeners by tracks.
    """

    def __init__(self, x: sp.csr_matrix, ridge: Dense) -> None:
        self.ridge = ridge
        self.scaled = sp.csc_matrix(x @ sp.diags(1 / ridge))
        kernel = (self.scaled @ x.T).toarray()
        kernel[np.diag_indices_from(kernel)] += 1
        self.factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)

    def diagonal(self) -> Dense:
        shares = [self.scaled[:, a:b].multiply(self._solved(a, b)).sum(axis=0) for a, b in self._ranges()]
        return np.asarray(1 / self.ridge - np.concatenate([np.asarray(s).ravel() for s in shares]))

    def blocks(self) -> Iterator[tuple[int, Dense]]:
        tracks = sp.csr_matrix(self.scaled.T, dtype=np.float32)
        for begin, end in self._ranges():
            block = -np.asarray(tracks @ self._solved(begin, end).astype(np.float32)).T
            here = np.arange(len(block))
            block[here, begin + here] += 1 / self.ridge[begin + here]
            yield begin, block

    def _ranges(self) -> list[tuple[int, int]]:
        items = len(self.ridge)
        size = max(1, _BLOCK_BYTES // (8 * items))
        return [(begin, min(begin + size, items)) for begin in range(0, items, size)]

    def _solved(self, begin: int, end: int) -> Dense:
        """(I + XΛ⁻¹Xᵀ)⁻¹XΛ⁻¹ for some of the tracks, float64 (users, end − begin)."""
        columns = self.scaled[:, begin:end].toarray(order="F")
        return np.asarray(cho_solve(self.factor, columns, overwrite_b=True, check_finite=False))
