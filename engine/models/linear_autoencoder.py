"""Linear autoencoders: EASE, EDLAE and RDLAE.

- EASE: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (2019).
- EDLAE: Steck, "Autoencoders that don't overfit towards the Identity" (2020).
- RDLAE: Moon, Kim & Lee, "It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders for Recommendation" (2023).

With Λ = l2·I + dropout/(1 − dropout)·diag(XᵀX) and P = (XᵀX + Λ)⁻¹ the weights between items are B = I − P·diag(κ),
where κ is diag(Λ) for a `free` diagonal (ridge regression), 1/diag(P) for a `zero` diagonal (EASE; with dropout EDLAE),
and in between for a `relaxed` one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.search_space import POPULARITY_DAMPING, VOTE_RECENCY, Choice, NumberRange, SearchSpace
from engine.models.sparse_top_k import stack_row_blocks, top_k_per_dense_row
from engine.models.validation import require_between, require_choice, require_positive

# The dense system to solve has as many rows as there are users or items, whichever are fewer. At the limit it and its
# inverse take 0.8 GB each.
MAX_SIDE = 10_000
_BLOCK_BYTES = 64 << 20  # of dense weights in memory at once
Dense = NDArray[np.float64]


@dataclass(frozen=True)
class LinearAutoencoder(Trainer):
    """A linear autoencoder.

    Attributes:
        diagonal: the constraint on the weight of an item for itself: `zero`, `relaxed` or `free`.
        relaxation: the greatest diagonal weight if `relaxed`, ξ of RDLAE.
        neighbours: how many weights to keep for each item.
    """

    family: ClassVar[str] = "linear_autoencoder"
    search_space: ClassVar[SearchSpace] = {
        "l2": NumberRange(1, 1000, log=True),
        "dropout": NumberRange(0.1, 0.9),
        "diagonal": Choice(("free", "relaxed", "zero")),
        "damping": POPULARITY_DAMPING,
        "recency": VOTE_RECENCY,
    }
    search_share: ClassVar[float] = 1.5
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
        """Fit the model; raises CannotTrain if both active users and items are more than `MAX_SIDE`."""
        if not matrix.nnz:
            raise CannotTrain("linear_autoencoder: the matrix is empty")
        users, items = np.flatnonzero(np.diff(matrix.indptr)), np.unique(matrix.indices)
        if min(len(users), len(items)) > MAX_SIDE:
            raise CannotTrain(
                f"linear_autoencoder: {len(users):,} users and {len(items):,} items; "
                f"the smaller of the two may be at most {MAX_SIDE:,}"
            )
        x = sp.csr_matrix(matrix[users][:, items], dtype=np.float64)
        ridge = self.l2 + self.dropout / (1 - self.dropout) * np.asarray(x.multiply(x).sum(axis=0)).ravel()
        inverse = _InverseByUsers(x, ridge) if len(users) < len(items) else _InverseByItems(x, ridge)
        weight_scale = kappa(self.diagonal, self.relaxation, ridge, inverse.diagonal)
        row_blocks = []
        for begin, block in inverse.blocks():
            weights = -block * weight_scale
            # Repeats are for the family `repeat`; here the weight of an item for itself would only crowd out others.
            weights[np.arange(len(block)), begin + np.arange(len(block))] = 0
            row_blocks.append(top_k_per_dense_row(weights, self.neighbours))
            callbacks.on_step(begin + len(block), len(items))
        return FittedModel(neighbours=stack_row_blocks(row_blocks, items, matrix.shape[1]))


def kappa(diagonal: str, relaxation: float, ridge: Dense, inverse_diagonal: Callable[[], Dense]) -> Dense:
    """Return κ of each item, see the module.

    Args:
        diagonal, relaxation: as in `LinearAutoencoder`.
        ridge: diag(Λ), float64 (items,).
        inverse_diagonal: returns diag(P), float64 (items,); not called for a `free` diagonal.

    Returns:
        float64 (items,).
    """
    if diagonal == "free":
        return ridge
    p = inverse_diagonal()
    if diagonal == "zero":
        return np.asarray(1 / p)
    return np.where(1 - ridge * p > relaxation, (1 - relaxation) / p, ridge)


class _InverseByItems:
    """P by inverting a dense matrix of items by items."""

    def __init__(self, x: sp.csr_matrix, ridge: Dense) -> None:
        gram = (x.T @ x).toarray()
        gram[np.diag_indices_from(gram)] += ridge
        factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        self.p: Dense = cho_solve(factor, np.eye(len(gram)), overwrite_b=True, check_finite=False)

    def diagonal(self) -> Dense:
        return np.asarray(np.diag(self.p))

    def blocks(self) -> Iterator[tuple[int, Dense]]:
        """Yield P in blocks of rows, each with the number of its first row."""
        size = max(1, _BLOCK_BYTES // (8 * len(self.p)))
        return ((begin, self.p[begin : begin + size]) for begin in range(0, len(self.p), size))


class _InverseByUsers:
    """P by the Woodbury identity Λ⁻¹ − Λ⁻¹Xᵀ(I + XΛ⁻¹Xᵀ)⁻¹XΛ⁻¹, with a dense matrix of users by users.

    It is solved for a block of items at a time, since all at once would be a dense matrix of users by items.
    """

    def __init__(self, x: sp.csr_matrix, ridge: Dense) -> None:
        self.ridge = ridge
        self.scaled = sp.csc_matrix(x @ sp.diags(1 / ridge))
        kernel = (self.scaled @ x.T).toarray()
        kernel[np.diag_indices_from(kernel)] += 1
        self.factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)

    def diagonal(self) -> Dense:
        shares = [self.scaled[:, a:b].multiply(self._solve(a, b)).sum(axis=0) for a, b in self._ranges()]
        return np.asarray(1 / self.ridge - np.concatenate([np.asarray(s).ravel() for s in shares]))

    def blocks(self) -> Iterator[tuple[int, Dense]]:
        """Yield P in blocks of rows, each with the number of its first row."""
        items = sp.csr_matrix(self.scaled.T, dtype=np.float32)
        for begin, end in self._ranges():
            block = -np.asarray(items @ self._solve(begin, end).astype(np.float32)).T
            rows = np.arange(len(block))
            block[rows, begin + rows] += 1 / self.ridge[begin + rows]
            yield begin, block

    def _ranges(self) -> list[tuple[int, int]]:
        items = len(self.ridge)
        size = max(1, _BLOCK_BYTES // (8 * items))
        return [(begin, min(begin + size, items)) for begin in range(0, items, size)]

    def _solve(self, begin: int, end: int) -> Dense:
        """Return the columns `begin` to `end` of (I + XΛ⁻¹Xᵀ)⁻¹XΛ⁻¹, float64 (users, end − begin)."""
        columns = self.scaled[:, begin:end].toarray(order="F")
        return np.asarray(cho_solve(self.factor, columns, overwrite_b=True, check_finite=False))
