"""Recommend the most popular items to everybody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import scipy.sparse as sp

from engine.models.base import NO_CALLBACKS, FitCallbacks, FittedModel, Trainer


@dataclass(frozen=True)
class Popularity(Trainer):
    """A family without parameters: every bundle contains the number of listeners of each track."""

    family: ClassVar[str] = "popularity"
    search_share: ClassVar[float] = 0.05

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        callbacks.on_step(1, 1)
        return FittedModel()
