"""Helpers to test item-item families against slow reference implementations on dense matrices."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engine.models.base import Trainer

Dense = NDArray[np.float64]
ALL = 1000  # more neighbours than there are items
SHAPES = [(30, 12), (12, 30)]  # more users than items, and fewer


def confidences(users: int, items: int, seed: int = 0) -> Dense:
    """Return a dense matrix of which a third is filled; one user and one item have no interactions."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((users, items)) < 0.35, rng.uniform(0.5, 5, (users, items)), 0)
    dense[users // 2], dense[:, items // 2] = 0, 0
    return dense.astype(np.float32).astype(np.float64)


def fit_weights(trainer: Trainer, dense: Dense) -> Dense:
    neighbours = trainer.fit(csr_matrix(dense, dtype=np.float32), seed=0, threads=1).neighbours
    assert neighbours is not None
    return neighbours.toarray().astype(np.float64)


def off_diagonal(matrix: Dense) -> Dense:
    return np.where(np.eye(len(matrix), dtype=bool), 0, matrix)


def keep_largest(matrix: Dense, k: int) -> Dense:
    """Set all but the k entries of greatest absolute value in each row to 0."""
    result = np.zeros_like(matrix)
    for i, row in enumerate(matrix):
        best = np.argsort(-np.abs(row), kind="stable")[:k]
        result[i, best] = row[best]
    return result
