"""Item-kNN: tracks are alike whose listeners are (Deshpande & Karypis 2004)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer, top_k_products
from engine.models.search_space import POPULARITY_DAMPING, Choice, NumberRange, SearchSpace
from engine.models.validation import require_choice, require_non_negative, require_positive

_K1, _B = 1.2, 0.75


@dataclass(frozen=True)
class ItemKNN(Trainer):
    """Cosine of the tracks' columns, lessened where few listeners are shared: dot / (|i|·|j| + shrink)."""

    family: ClassVar[str] = "item_knn"
    search_space: ClassVar[SearchSpace] = {
        "shrink": NumberRange(0.1, 300, log=True),
        "normalization": Choice(("tf-idf", "bm25", "cosine")),
        "damping": POPULARITY_DAMPING,
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
        """Memory for the products of a few hundred tracks at a time. Raises CannotTrain for an empty matrix."""
        if not matrix.nnz:
            raise CannotTrain("item_knn: the matrix is empty")
        weighted = self._weighted(matrix)
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=0)).ravel())

        def cosine(dots: sp.csr_matrix, first: int) -> None:
            lengths = np.diff(dots.indptr)
            dots.data /= np.repeat(norms[first : first + len(lengths)], lengths) * norms[dots.indices] + self.shrink

        return FittedModel(neighbours=top_k_products(weighted.T.tocsr(), weighted, self.neighbours, callbacks, cosine))

    def _weighted(self, matrix: sp.csr_matrix) -> sp.csr_matrix:
        """A listener is a term of the tracks they play: one who plays everything says little about any."""
        k = np.diff(matrix.indptr)
        data = matrix.data.astype(np.float32)
        if self.normalization == "bm25":
            plays = np.asarray(matrix.sum(axis=0)).ravel()
            length = 1 - _B + _B * plays[matrix.indices] / max(plays[plays > 0].mean(), 1e-9)
            data = data * (_K1 + 1) / (data + _K1 * length)
        if self.normalization != "cosine":
            tracks = np.count_nonzero(np.bincount(matrix.indices, minlength=matrix.shape[1]))
            data = data * np.repeat(np.log1p(tracks / np.maximum(k, 1)), k)
        return sp.csr_matrix((data.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape)
