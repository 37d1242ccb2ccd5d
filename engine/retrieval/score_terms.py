"""A listener's scores as a sum of few terms, so that neither they nor their mean need an array over all tracks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, Vector

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
_ALIKE = 1e-12  # a smaller deviation is rounding: all scores are the same


@dataclass(frozen=True)
class ScoreTerms:
    """score(i) = vector · factors(i) + popular · log(1 + popularity(i)) + constant + votes(i), over the tracks that
    somebody played.

    vector: float64 (f,) · rows: int64 (v,), distinct, the tracks that have votes · votes: float64 (v,) · silent: what
    scores 0 is not offered.
    """

    vector: Floats
    popular: float = 0.0
    constant: float = 0.0
    rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    votes: Floats = field(default_factory=lambda: np.zeros(0))
    silent: bool = False

    @staticmethod
    def no_votes() -> tuple[Rows, Floats]:
        return np.zeros(0, np.int64), np.zeros(0)

    @cached_property
    def length(self) -> float:
        """Of the vector."""
        return math.sqrt(self.vector @ self.vector)

    @cached_property
    def by_factors(self) -> bool:
        """Whether it looks at them at all."""
        return bool(self.vector.any())

    def offers(self, scores: NDArray[np.floating]) -> NDArray[np.bool_]:
        """bool (k,): which tracks of these scores it offers."""
        return scores != 0 if self.silent else np.ones(len(scores), np.bool_)

    @property
    def wide(self) -> bool:
        """Whether it offers tracks without votes, too."""
        return not self.silent or self.by_factors

    def times(self, factor: float) -> ScoreTerms:
        return replace(
            self,
            vector=self.vector * factor,
            popular=self.popular * factor,
            constant=self.constant * factor,
            votes=self.votes * factor,
            silent=False,
        )

    def without_votes(self, bundle: ModelBundle, rows: Rows) -> Floats:
        """float64 (k,): the other terms, of `rows` int64 (k,)."""
        dense = np.full(len(rows), self.constant)
        if self.popular:
            dense += self.popular * np.log1p(bundle.popularity[rows])
        if self.by_factors:
            dense += bundle.item_factors[rows] @ self.vector
        return dense

    def moments(self, bundle: ModelBundle) -> tuple[float, float]:
        """Mean and deviation over the offered tracks, from those of factors and popularity; the covariance of votes
        with them is a sum over the tracks with votes."""
        offered, weights = bundle.norm_sorted_items, np.append(self.vector, self.popular)
        n = max(len(offered), 1)
        mean = float(weights @ offered.mean) + self.constant
        variance = float(weights @ offered.covariance @ weights)
        if len(self.rows):
            of_votes = float(self.votes.sum()) / n
            centred = self.votes - of_votes
            variance += (float(centred @ centred) + (n - len(self.rows)) * of_votes**2) / n
            if weights.any():
                variance += 2 * float(self.votes @ (self.without_votes(bundle, self.rows) - mean)) / n
            mean += of_votes
        return mean, max(variance, 0.0) ** 0.5

    def standardised(self, bundle: ModelBundle) -> ScoreTerms:
        """With mean 0 and deviation 1 over the offered tracks; scores that are all the same become zeros.

        Scores of different families have different scales, and of different listeners too.
        """
        mean, deviation = self.moments(bundle)
        if deviation <= _ALIKE:
            return ScoreTerms(np.zeros_like(self.vector))
        scaled = self.times(1 / deviation)
        return replace(scaled, constant=scaled.constant - mean / deviation)

    def all_scores(self, bundle: ModelBundle) -> Vector:
        """float32 (n,) over all tracks, -inf for those not offered: the obvious form, for who wants all of them."""
        scores = bundle.item_factors @ self.vector.astype(np.float32) + np.float32(self.constant)
        if self.popular:
            scores += np.float32(self.popular) * np.log1p(bundle.popularity)
        scores[self.rows] += self.votes.astype(np.float32)
        return np.where((bundle.popularity > 0) & self.offers(scores), scores, np.float32(-np.inf))
