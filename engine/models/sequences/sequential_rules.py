"""Sequential rules: what was played after a track in earlier sessions, the sooner the more.

Ludewig & Jannach, "Evaluation of Session-based Recommendation Algorithms" (UMUAI 2018), whose rules count 1 / distance,
here with a share for the reverse direction, for music seldom has a single order; a decay over the tracks of the
session instead of its last track only; a penalty for rules of tracks that are played often; and a decay with the age of
sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.sessions import Sessions
from engine.models.sequences.base import (
    Arrays,
    ScoredItems,
    SequenceModel,
    SequenceTrainer,
    expand_spans,
    prefix_weights,
    session_weights,
    sum_by_item,
)
from engine.models.sparse_top_k import top_k_per_row

_FIRST_HOP = 100  # tracks from which the second hop starts


@dataclass(frozen=True)
class SequentialRules(SequenceTrainer):
    """Rules between tracks that were played up to `window` plays apart.

    Attributes:
        window: the greatest distance that counts; with 1 these are the transitions of a Markov chain.
        distance_power: a pair at distance d counts d^−distance_power.
        reverse: how much the reverse direction counts.
        prefix_decay: each track of the session counts this much less than the one after it; with 0 only the last does.
        source_power: rules of a track that was played n times count n^−source_power; with 1 they are probabilities.
        recency: sessions count e^(−recency · age), where the age of the oldest is 1.
        hops: with 2, the rules of the tracks that are reached by the rules, which find more distant tracks.
        rules_per_item: how many of the strongest rules of a track are stored.
    """

    family: ClassVar[str] = "sequential_rules"
    window: int = 10
    distance_power: float = 1.0
    reverse: float = 0.3
    prefix_decay: float = 0.6
    source_power: float = 0.5
    recency: float = 1.0
    hops: int = 1
    rules_per_item: int = 300

    def __post_init__(self) -> None:
        self._require("window", 1, 200)
        self._require("distance_power", 0, 4)
        self._require("reverse", 0, 1)
        self._require("prefix_decay", 0, 1)
        self._require("source_power", 0, 2)
        self._require("recency", 0, 100)
        self._require("hops", 1, 2)
        self._require("rules_per_item", 1, 10_000)

    def fit(self, sessions: Sessions, items: int, *, seed: int) -> SequenceModel:
        session, weight = sessions.session_of_play, session_weights(sessions, self.recency)
        before, after, values = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
        for distance in range(1, min(self.window, int(sessions.lengths.max(initial=0)) - 1) + 1):
            pairs = np.flatnonzero(session[distance:] == session[:-distance])
            before.append(sessions.items[pairs])
            after.append(sessions.items[pairs + distance])
            values.append((weight[session[pairs]] * distance**-self.distance_power).astype(np.float32))
        entries = np.concatenate(values), (np.concatenate(before), np.concatenate(after))
        rules = sp.csr_matrix(entries, (items, items))  # adds up the values of equal pairs
        if self.reverse:
            rules = (rules + self.reverse * rules.T).tocsr()
        plays = np.maximum(np.bincount(sessions.items, minlength=items), 1)
        rules.data *= np.repeat((plays**-self.source_power).astype(np.float32), np.diff(rules.indptr))
        rules = top_k_per_row(rules, self.rules_per_item)
        return SequentialRulesModel(
            self, items, rules.indptr.astype(np.int64), rules.indices.astype(np.int32), rules.data
        )

    def restore(self, arrays: Mapping[str, NDArray[Any]], items: int) -> SequenceModel:
        indptr, indices, weights = (arrays[name] for name in ("indptr", "indices", "weights"))
        if len(indptr) != items + 1 or not indptr[-1] == len(indices) == len(weights):
            raise ValueError(f"the rules do not fit {items} items")
        return SequentialRulesModel(self, items, indptr, indices, weights)


@dataclass(frozen=True)
class SequentialRulesModel(SequenceModel):
    """The rules of each item, as a CSR matrix (n, n).

    Attributes:
        indptr: int64 (n + 1,).
        indices: ascending within a row, int32 (nnz,).
        weights: float32 (nnz,).
    """

    trainer: SequentialRules
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]

    def score(self, prefix: NDArray[np.integer]) -> ScoredItems:
        rows = self.known_prefix(prefix)
        decay = prefix_weights(len(rows), self.trainer.prefix_decay)
        rows, scores = self._follow(rows[decay > 0], decay[decay > 0])
        if self.trainer.hops == 2:
            strongest = np.sort(np.argsort(-scores, kind="stable")[:_FIRST_HOP])
            rows, scores = self._follow(rows[strongest], scores[strongest].astype(np.float64))
        return rows, scores

    def arrays(self) -> Arrays:
        return {"indptr": self.indptr, "indices": self.indices, "weights": self.weights}

    def _follow(self, rows: NDArray[np.int64], weights: NDArray[np.float64]) -> ScoredItems:
        """Add up the rules of tracks, weighted."""
        starts = self.indptr[rows]
        lengths = self.indptr[rows + 1] - starts
        entries = expand_spans(starts, lengths)
        return sum_by_item(self.indices[entries], self.weights[entries] * np.repeat(weights, lengths), self.items)
