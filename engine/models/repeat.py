"""Recommend a listener's own tracks again, the ones most present in their memory first.

Reiter-Haas et al., "Predicting Music Relistening Behavior Using the ACT-R Framework" (RecSys 2021). The confidence of a
pair is its base-level activation (`engine.data.confidence.base_level_activation`), so nothing is left to learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import scipy.sparse as sp

from engine.data.confidence import ConfidenceWeights
from engine.models.base import NO_CALLBACKS, CannotTrain, FitCallbacks, FittedModel, Trainer
from engine.models.search_space import NumberRange, SearchSpace


@dataclass(frozen=True)
class Repeat(Trainer):
    """Each played track has one neighbour, itself, so that a listener's scores are their own confidences.

    Tracks that they have not played have no score: it takes other families, or popularity, to find those.
    """

    family: ClassVar[str] = "repeat"
    search_space: ClassVar[SearchSpace] = {"confidence.activation_decay": NumberRange(0.1, 2.0, log=True)}
    search_share: ClassVar[float] = 0.3
    default_confidence: ClassVar[ConfidenceWeights] = ConfidenceWeights(
        base=1e-3,  # of a track that was liked, shared or added, but never played
        bonus=0.0,
        liked=0.0,
        added=0.0,
        shared=0.0,
        transform="activation",
        skipped=0.0,
        disliked=0.0,
    )
    own_tracks_only: ClassVar[bool] = True

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        if not matrix.nnz:
            raise CannotTrain("repeat: the matrix is empty")
        items = matrix.shape[1]
        played = np.flatnonzero(np.bincount(matrix.indices, minlength=items)).astype(np.int32)
        indptr = np.searchsorted(played, np.arange(items + 1)).astype(np.int64)
        callbacks.on_step(1, 1)
        return FittedModel(neighbours=sp.csr_matrix((np.ones(len(played), np.float32), played, indptr), (items, items)))
