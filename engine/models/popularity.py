"""Most popular: what to offer when nothing is known about a listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.models.base import NO_CALLBACKS, FitCallbacks, FittedModel, Trainer


@dataclass(frozen=True)
class Popularity(Trainer):
    """Nothing to learn: a bundle knows how many listeners each track has."""

    family: ClassVar[str] = "popularity"
    search_share: ClassVar[float] = 0.05

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        callbacks.on_step(1, 1)
        return FittedModel()


def listeners(matrix: sp.csr_matrix) -> NDArray[np.float32]:
    """How many listeners played each track, float32 (items,). Listeners, not plays: one fan is not a crowd."""
    return np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.float32)
