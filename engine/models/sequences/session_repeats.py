"""Repeats: the tracks of the session itself, the latest ones most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.data.sessions import Sessions
from engine.models.sequences.base import Arrays, ScoredItems, SequenceModel, SequenceTrainer, prefix_weights


@dataclass(frozen=True)
class SessionRepeats(SequenceTrainer):
    """Nothing is learnt; a blend with other families learns how likely a repeat is.

    Attributes:
        prefix_decay: each play of the session counts this much less than the one after it.
    """

    family: ClassVar[str] = "session_repeats"
    prefix_decay: float = 0.5

    def __post_init__(self) -> None:
        self._require("prefix_decay", 0, 1)

    def fit(self, sessions: Sessions, items: int, *, seed: int) -> SequenceModel:
        return SessionRepeatsModel(self, items)

    def restore(self, arrays: Mapping[str, NDArray[Any]], items: int) -> SequenceModel:
        return SessionRepeatsModel(self, items)


@dataclass(frozen=True)
class SessionRepeatsModel(SequenceModel):
    """A model without arrays."""

    trainer: SessionRepeats

    def score(self, prefix: NDArray[np.integer]) -> ScoredItems:
        rows = self.known_prefix(prefix)
        decay = prefix_weights(len(rows), self.trainer.prefix_decay)
        distinct, place = np.unique(rows, return_inverse=True)
        sums = np.bincount(place, decay, minlength=len(distinct)).astype(np.float32)
        return distinct[sums > 0], sums[sums > 0]

    def arrays(self) -> Arrays:
        return {}
