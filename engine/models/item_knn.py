"""Item-based nearest neighbours (item-kNN) by cosine similarity.

Deshpande & Karypis, "Item-Based Top-N Recommendation Algorithms" (2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.search_space import POPULARITY_DAMPING, VOTE_RECENCY, Choice, NumberRange, SearchSpace
from engine.models.sparse_top_k import top_k_products
from engine.models.validation import require_choice, require_non_negative, require_positive

_K1, _B = 1.2, 0.75  # the usual parameters of BM25


@dataclass(frozen=True)
class ItemKNN(Trainer):
    """The weight of items i and j is dot(i, j) / (|i|·|j| + shrink), with the columns of the weighted matrix.

    Attributes:
        shrink: reduces weights that rest on few shared users.
        normalization: how the matrix is weighted before: `cosine` not at all, `tf-idf` by the rarity of the user as a
            term, `bm25` by that and by saturated confidences.
        neighbours: how many to keep for each item.
    """

    family: ClassVar[str] = "item_knn"
    search_space: ClassVar[SearchSpace] = {
        "shrink": NumberRange(0.1, 300, log=True),
        "normalization": Choice(("tf-idf", "bm25", "cosine")),
        "damping": POPULARITY_DAMPING,
        "recency": VOTE_RECENCY,
    }
    search_share: ClassVar[float] = 1.0
    shrink: float = 10.0
    normalization: str = "cosine"
    neighbours: int = 400

    def __post_init__(self) -> None:
        require_positive(self, "neighbours")
        require_non_negative(self, "shrink")
        require_choice(self, "normalization", "tf-idf", "bm25", "cosine")

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("item_knn: the matrix is empty")
        weighted = self._weighted(matrix)
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=0)).ravel())

        def normalize(dots: sp.csr_matrix, first_row: int) -> None:
            lengths = np.diff(dots.indptr)
            row_norms = np.repeat(norms[first_row : first_row + len(lengths)], lengths)
            dots.data /= row_norms * norms[dots.indices] + self.shrink

        return FittedModel(
            neighbours=top_k_products(weighted.T.tocsr(), weighted, self.neighbours, callbacks, normalize)
        )

    def _weighted(self, matrix: sp.csr_matrix) -> sp.csr_matrix:
        """Weight the matrix, with items as documents and users as terms: users who played everything weigh little."""
        k = np.diff(matrix.indptr)
        data = matrix.data.astype(np.float32)
        if self.normalization == "bm25":
            item_totals = np.asarray(matrix.sum(axis=0)).ravel()
            length = 1 - _B + _B * item_totals[matrix.indices] / max(item_totals[item_totals > 0].mean(), 1e-9)
            data = data * (_K1 + 1) / (data + _K1 * length)
        if self.normalization != "cosine":
            played_items = np.count_nonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
            data = data * np.repeat(np.log1p(played_items / np.maximum(k, 1)), k)
        return sp.csr_matrix((data.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape)
