"""Session-based nearest neighbours: what was played in similar sessions, near the tracks that they share.

VSKNN of Ludewig & Jannach, "Evaluation of Session-based Recommendation Algorithms" (UMUAI 2018), with inverse document
frequencies, and the decays of STAN: by position in the current session, by the age of the neighbour and by the distance
from the shared track (Garg et al., "Sequence and Time Aware Neighborhood for Session-based Recommendations", SIGIR
2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.data.sessions import Sessions
from engine.models.sequences.base import (
    Arrays,
    ScoredItems,
    SequenceModel,
    SequenceTrainer,
    expand_spans,
    session_weights,
    sum_by_item,
)


@dataclass(frozen=True)
class SessionKNN(SequenceTrainer):
    """Neighbours among the newest sessions.

    Attributes:
        neighbours: how many of the most similar sessions count.
        sample: of each track of the current session, so many of the newest sessions are compared.
        max_sessions: how many of the newest sessions are stored.
        prefix_decay: each track of the current session counts this much less than the one after it.
        recency: neighbours count e^(−recency · age), where the age of the oldest is 1.
        length_power: the similarity of a session of n plays is divided by n^length_power.
        distance_power: a track d plays after the shared one counts d^−distance_power.
        reverse: how much tracks before the shared one count.
    """

    family: ClassVar[str] = "session_knn"
    neighbours: int = 300
    sample: int = 1_000
    max_sessions: int = 200_000
    prefix_decay: float = 0.5
    recency: float = 1.0
    length_power: float = 0.0
    distance_power: float = 1.0
    reverse: float = 0.3

    def __post_init__(self) -> None:
        self._require("neighbours", 1, 10_000)
        self._require("sample", 1, 100_000)
        self._require("max_sessions", 1, 10_000_000)
        self._require("prefix_decay", 0, 1)
        self._require("recency", 0, 100)
        self._require("length_power", 0, 2)
        self._require("distance_power", 0, 4)
        self._require("reverse", 0, 1)

    def fit(self, sessions: Sessions, items: int, *, seed: int) -> SequenceModel:
        sessions = sessions.slice(max(0, len(sessions) - self.max_sessions), len(sessions))
        session, plays = sessions.session_of_play, sessions.items.astype(np.int64)
        # One entry for each track of each session, at its last play there, by track and then by session.
        order = np.lexsort((np.arange(len(plays)), session, plays))
        is_last = np.ones(len(order), np.bool_)
        is_last[:-1] = (np.diff(plays[order]) != 0) | (np.diff(session[order]) != 0)
        last = order[is_last]
        indptr = np.searchsorted(plays[last], np.arange(items + 1)).astype(np.int64)
        weights = session_weights(sessions, self.recency)
        weights /= np.maximum(sessions.lengths, 1) ** self.length_power
        return SessionKNNModel(
            self,
            items,
            plays=sessions.items,
            offsets=sessions.offsets,
            weights=weights.astype(np.float32),
            indptr=indptr,
            sessions=session[last].astype(np.int32),
            positions=(last - sessions.offsets[session[last]]).astype(np.int32),
        )

    def restore(self, arrays: Mapping[str, NDArray[Any]], items: int) -> SequenceModel:
        model = SessionKNNModel(self, items, **arrays)
        if len(model.indptr) != items + 1 or len(model.offsets) != len(model.weights) + 1:
            raise ValueError(f"the index of sessions does not fit {items} items")
        if model.offsets[-1] != len(model.plays) or not model.indptr[-1] == len(model.sessions) == len(model.positions):
            raise ValueError("the plays do not fit the index of sessions")
        return model


@dataclass(frozen=True)
class SessionKNNModel(SequenceModel):
    """The s stored sessions, and in which of them each item was played.

    Attributes:
        plays, offsets: as in `Sessions`.
        weights: how much each session counts, float32 (s,).
        indptr: item i has the entries indptr[i] to indptr[i + 1] - 1 of the following arrays, int64 (n + 1,).
        sessions: in which the item was played, ascending, int32 (nnz,).
        positions: of its last play there, int32 (nnz,).
    """

    trainer: SessionKNN
    plays: NDArray[np.int32]
    offsets: NDArray[np.int64]
    weights: NDArray[np.float32]
    indptr: NDArray[np.int64]
    sessions: NDArray[np.int32]
    positions: NDArray[np.int32]

    def score(self, prefix: NDArray[np.integer]) -> ScoredItems:
        trainer, rows = self.trainer, self.known_prefix(prefix)
        # Distinct tracks, each at its last place in the session, oldest first.
        rows, age = np.unique(rows[::-1], return_index=True)
        oldest_first = np.argsort(-age)
        rows, age = rows[oldest_first], age[oldest_first]
        ends = self.indptr[rows + 1]
        starts = np.maximum(self.indptr[rows], ends - trainer.sample)
        frequency = np.maximum(ends - self.indptr[rows], 1)
        weights = np.power(trainer.prefix_decay, age.astype(np.float64)) * np.log(1 + len(self.weights) / frequency)
        entries = expand_spans(starts, ends - starts)
        sessions = self.sessions[entries]
        common = np.bincount(sessions, np.repeat(weights, ends - starts), minlength=len(self.weights))
        candidates = np.flatnonzero(common)
        similarity = common[candidates] * self.weights[candidates]
        if len(candidates) > trainer.neighbours:
            # The most similar sessions, and the newest among equals.
            nearest = np.lexsort((-candidates, -similarity))[: trainer.neighbours]
            candidates, similarity = candidates[nearest], similarity[nearest]
        # The entries of the newest track of the prefix come last, so that these positions are those that stay.
        shared = np.zeros(len(self.weights), np.int32)
        shared[sessions] = self.positions[entries]
        lengths = self.offsets[candidates + 1] - self.offsets[candidates]
        plays = expand_spans(self.offsets[candidates], lengths)
        distance = plays - np.repeat(self.offsets[candidates] + shared[candidates], lengths)
        decay = np.power(np.maximum(np.abs(distance), 1.0), -trainer.distance_power)
        direction = np.where(distance > 0, 1.0, np.where(distance < 0, trainer.reverse, 0.0))
        return sum_by_item(self.plays[plays], np.repeat(similarity, lengths) * decay * direction, self.items)

    def arrays(self) -> Arrays:
        names = ("plays", "offsets", "weights", "indptr", "sessions", "positions")
        return {name: getattr(self, name) for name in names}
