"""The interface of sequence models, which say what is played next in a session."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.data.sessions import Sessions

Arrays = dict[str, NDArray[Any]]
Rows = NDArray[np.int64]
Scores = NDArray[np.float32]
ScoredItems = tuple[Rows, Scores]
"""Distinct rows, ascending, int64 (k,), and their scores, all above 0, float32 (k,); other items have the score 0."""

_DENSE_RATIO = 16  # sorting is slower than counting where there are fewer items to one row
MAX_PREFIX = 50
"""How many of the latest plays of a session count."""


@dataclass(frozen=True)
class SequenceTrainer(ABC):
    """A family of sequence models: its hyperparameters are the fields of a frozen dataclass.

    To add a family, write one module with a subclass, add one `register_sequence_family` line to
    `engine.models.sequences`, and test it with `tests.engine.models.sequence_contract`.

    Attributes:
        family: the name in stored models; unique, and never changed once it has been stored.
    """

    family: ClassVar[str]

    @abstractmethod
    def fit(self, sessions: Sessions, items: int, *, seed: int) -> SequenceModel:
        """Learn from sessions, which are not changed; the same seed gives the same model.

        Args:
            sessions: with rows below `items`.
            items: how many items there are.
            seed: of all random numbers.
        """

    @abstractmethod
    def restore(self, arrays: Mapping[str, NDArray[Any]], items: int) -> SequenceModel:
        """Return the model of which `SequenceModel.arrays` returned these arrays.

        Raises:
            KeyError, ValueError: an array is missing, or does not fit the others.
        """

    def to_dict(self) -> dict[str, Any]:
        """Return the family and its hyperparameters, ready for JSON."""
        return {"family": self.family, **asdict(self)}

    @classmethod
    def from_dict(cls, hyperparameters: Mapping[str, Any]) -> SequenceTrainer:
        """Build a trainer from what `to_dict` returned, without the family.

        Raises:
            TypeError, ValueError: a hyperparameter is unknown or out of range.
        """
        return cls(**hyperparameters)

    def _require(self, name: str, low: float, high: float) -> None:
        if not low <= (value := getattr(self, name)) <= high:
            raise ValueError(f"{self.family}: {name} must be from {low:g} to {high:g}, not {value}")


@dataclass(frozen=True)
class SequenceModel(ABC):
    """A fitted sequence model of n items.

    Attributes:
        trainer: what it was fitted by.
        items: n.
    """

    trainer: SequenceTrainer
    items: int

    @abstractmethod
    def score(self, prefix: NDArray[np.integer]) -> ScoredItems:
        """Score what may come next. The tracks of the session itself may be among it.

        Args:
            prefix: rows of the tracks played so far, oldest first, int (k,). Only the last `MAX_PREFIX` known ones
                count; rows of tracks that the model does not know, such as -1 or those from n on, are skipped over.
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """Return everything that the model learnt, by name."""

    def to_arrays(self) -> Arrays:
        """Return the model as arrays, to be stored; `engine.models.sequences.sequence_from_arrays` reads them."""
        description = json.dumps({"items": self.items, "trainer": self.trainer.to_dict()}).encode()
        return {"description": np.frombuffer(description, np.uint8), **self.arrays()}

    def known_prefix(self, prefix: NDArray[np.integer]) -> Rows:
        """Return the rows of a prefix that count, oldest first, int64 (k,)."""
        rows = np.asarray(prefix, np.int64)
        return rows[(rows >= 0) & (rows < self.items)][-MAX_PREFIX:]


def sum_by_item(rows: NDArray[np.integer], weights: NDArray[np.floating], items: int) -> ScoredItems:
    """Add up the weights of equal rows; items whose sum is 0 are left out."""
    distinct, sums = sum_of_equal(rows, weights, items)
    scores = sums.astype(np.float32)
    return distinct[scores > 0], scores[scores > 0]


def sum_of_equal(
    rows: NDArray[np.integer], weights: NDArray[np.floating], items: int
) -> tuple[Rows, NDArray[np.float64]]:
    """Add up the weights of equal rows.

    Args:
        rows: below `items`, int (k,).
        weights: of these, float (k,).
        items: the number of items.

    Returns:
        Distinct rows, ascending, int64 (m,), and their sums, float64 (m,). For few rows of many items no array of the
        length of the catalogue is made; the sums are the same to the last bit.
    """
    if len(rows) * _DENSE_RATIO > items:
        sums = np.asarray(np.bincount(rows, weights, minlength=items), np.float64)
        distinct = np.flatnonzero(sums)
        return distinct, sums[distinct]
    distinct, place = np.unique(rows, return_inverse=True)
    return distinct.astype(np.int64), np.asarray(np.bincount(place, weights, minlength=len(distinct)), np.float64)


def scores_of(scored: ScoredItems, rows: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the scores of some items, 0 for those that have none: float64, shaped like `rows`."""
    known, scores = scored
    if not len(known):
        return np.zeros(len(rows))
    at = np.minimum(np.searchsorted(known, rows), len(known) - 1)
    return np.where(known[at] == rows, scores[at].astype(np.float64), 0.0)


def prefix_weights(plays: int, decay: float) -> NDArray[np.float64]:
    """Compute the weights of the plays of a session, each less than the one after it by a decay; float64 (plays,)."""
    return np.power(decay, np.arange(plays)[::-1].astype(np.float64))


def expand_spans(starts: Rows, lengths: Rows) -> Rows:
    """Return the numbers from start to before start + length of each span, one span after the other, int64."""
    return np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())


def session_weights(sessions: Sessions, recency: float) -> NDArray[np.float64]:
    """Compute how much each session counts: e^(−recency · age), where the age of the oldest is 1; float64 (s,).

    Relative to the period of the data, so that one value suits days as well as years.
    """
    if not len(sessions):
        return np.zeros(0)
    newest, oldest = sessions.ended_at[-1], sessions.ended_at[0]
    return np.asarray(np.exp(-recency * (newest - sessions.ended_at) / max(newest - oldest, 1)))
