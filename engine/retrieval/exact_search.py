"""Exact search for the k tracks with the highest scores, which stops as soon as no other track can be among them.

A listener's scores are a sum of few terms (`ScoreTerms`), so that neither they nor their mean need an array as long as
the catalogue. No product of two vectors exceeds the product of their norms (Cauchy-Schwarz), and the tracks are sorted
by norm: once that bound is below the k-th best score so far, no later track can be among the best (Teflioudi, Gemulla
& Mykytiuk 2015, "LEMP: Fast Retrieval of Large Entries in a Matrix Product").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.ann_index import FOR_LISTENERS, FOR_TRACKS
from engine.bundle.model_bundle import ModelBundle
from engine.bundle.norm_sorted_items import BLOCK, NormSortedItems
from engine.bundle.workspace import VOTED, SearchWorkspace

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
TopK = tuple[Rows, Floats]
"""Rows int64 (k,), best first, and their scores float64 (k,)."""

MIN_DEVIATION = 1e-5
"""Deviation of scores, relative to their root mean square, up to which they count as equal.

It must be relative, and well above the rounding errors of float32 products: where everybody has played the same tracks,
scores differ by rounding only, and scaling that to a deviation of 1 would rank tracks by it.
"""

# Sizes of the first and the largest block of rows, and how much longer each is than the one before it. A block costs as
# much as a thousand of its rows, and most searches end early.
_FIRST, _LARGEST, _GROWTH = 512, 65_536, 16
_FLOAT32_ERROR = 2e-6  # bound on the error of a float32 product of 100-200 factors, relative to that of the norms

_SEGMENT_SIZE = 64  # scores of which `top_k` takes the maximum first

_no_rows: Callable[[], Rows] = partial(np.zeros, 0, np.int64)  # type: ignore[assignment]
_no_scores: Callable[[], Floats] = partial(np.zeros, 0)


class ListenerBlend(NamedTuple):
    """How one source adds up the components of the ensemble, for one listener.

    score = Σ scale · component + popularity_weight · log(1 + popularity) + constant

    Attributes:
        scales: by index of the component; without popularity, and without components that have no score.
        popularity_weight: of popularity, as a component and otherwise.
        constant: what is the same for all tracks.
    """

    scales: Mapping[int, float]
    popularity_weight: float
    constant: float


@dataclass(frozen=True)
class ScoreTerms:
    """The scores of one listener for the tracks that somebody played, as a sum of terms.

    score(i) = vector · factors(i) + popularity_weight · log(1 + popularity(i)) + constant + votes(i)

    Attributes:
        vector: float64 (f,).
        rows: the tracks that have votes, distinct, int64 (v,).
        votes: float64 (v,).
        omit_zeros: never offer a track whose score is 0, because a single component knows nothing of such tracks.
        scales: what the components that vector and votes are made of have been multiplied by, by index.
    """

    vector: Floats
    popularity_weight: float = 0.0
    constant: float = 0.0
    rows: Rows = field(default_factory=_no_rows)
    votes: Floats = field(default_factory=_no_scores)
    omit_zeros: bool = False
    scales: Mapping[int, float] = field(default_factory=dict)

    @property
    def blend(self) -> ListenerBlend:
        """How the components are added up, without their scores."""
        return ListenerBlend(self.scales, self.popularity_weight, self.constant)

    def scale(self, factor: float) -> ScoreTerms:
        """Multiply all scores; the zeros are offered too."""
        return ScoreTerms(
            vector=self.vector * factor,
            popularity_weight=self.popularity_weight * factor,
            constant=self.constant * factor,
            rows=self.rows,
            votes=self.votes * factor,
            scales={component: scale * factor for component, scale in self.scales.items()},
        )

    def standardize(self, bundle: ModelBundle) -> ScoreTerms:
        """Shift and scale the scores to mean 0 and deviation 1 over the played tracks; equal scores become zeros.

        Scores of different components have different scales, and those of different listeners too.
        """
        mean, deviation = self.moments(bundle)
        if deviation <= MIN_DEVIATION * math.hypot(mean, deviation):
            return self.scale(0.0)
        scaled = self.scale(1 / deviation)
        return replace(scaled, constant=scaled.constant - mean / deviation)

    def moments(self, bundle: ModelBundle) -> tuple[float, float]:
        """Return mean and deviation over the played tracks.

        They follow from the moments of factors and popularity, which the bundle holds, and from the votes: the
        covariance of votes with the other terms is a sum over the tracks that have votes.
        """
        items, weights = bundle.norm_sorted_items, np.append(self.vector, self.popularity_weight)
        n = max(len(items), 1)
        mean = float(weights @ items.mean) + self.constant
        variance = float(weights @ items.covariance @ weights)
        if len(self.rows):
            mean_vote = float(self.votes.sum()) / n
            centred = self.votes - mean_vote
            variance += (float(centred @ centred) + (n - len(self.rows)) * mean_vote**2) / n
            if weights.any():
                variance += 2 * float(self.votes @ (self.scores_without_votes(bundle, self.rows) - mean)) / n
            mean += mean_vote
        return mean, max(variance, 0.0) ** 0.5

    def scores_without_votes(self, bundle: ModelBundle, rows: Rows) -> Floats:
        """Compute the other terms for some rows, int64 (k,): float64 (k,)."""
        scores = np.full(len(rows), self.constant)
        if self.popularity_weight:
            scores += self.popularity_weight * np.log1p(bundle.popularity[rows])
        if self.vector.any():
            scores += bundle.item_factors[rows] @ self.vector
        return scores

    def scores_of_rows(self, bundle: ModelBundle, rows: Rows) -> Floats:
        """Compute the scores of some rows, distinct, int64 (k,): float64 (k,)."""
        scores = self.scores_without_votes(bundle, rows)
        if not len(self.rows):
            return scores
        _, positions, of_votes = np.intersect1d(rows, self.rows, assume_unique=True, return_indices=True)
        scores[positions] += self.votes[of_votes]
        return scores


def empty_top_k() -> TopK:
    return np.zeros(0, np.int64), np.zeros(0)


def top_k(scores: NDArray[np.floating], k: int) -> Rows:
    """Return the rows of the k highest scores, best first, equal scores by row.

    A score of -inf means "never", so there may be fewer than k. A longer list begins with the shorter one.
    """
    if k < 1:
        return np.zeros(0, np.int64)
    # The k-th greatest of the maxima of segments is a lower bound of the k-th score. Few scores reach it, and finding
    # them is six times as fast as partitioning all, or sixty times where most scores are equal.
    floor, segments = -np.inf, len(scores) // _SEGMENT_SIZE
    if segments >= 4 * k:
        maxima = scores[: segments * _SEGMENT_SIZE].reshape(segments, _SEGMENT_SIZE).max(axis=1)
        floor = np.partition(maxima, segments - k)[segments - k]
    candidates = np.flatnonzero(scores >= floor) if floor > -np.inf else np.flatnonzero(scores > -np.inf)
    if len(candidates) > k:
        descending = -scores[candidates]
        candidates = candidates[descending <= np.partition(descending, k - 1)[k - 1]]
    best_first = np.lexsort((candidates, -scores[candidates]))
    return candidates[best_first[:k]]


def top_k_of_rows(rows: Rows, scores: Floats, k: int) -> TopK:
    """Return the k best of distinct rows, equal scores by row."""
    if len(scores) > 10 * k > 0:  # sorting a million rows takes half a second
        best = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
        rows, scores = rows[best], scores[best]
    order = np.lexsort((rows, -scores))[:k]
    return rows[order].astype(np.int64), scores[order]


@dataclass
class TopKAccumulator:
    """The k best rows of those added so far, and all whose scores are within `slack` of the k-th.

    The scores added may be wrong by as much as the slack, so the caller computes those of the remaining rows again.

    Attributes:
        rows: int64 (r,), in no order.
        scores: of these rows, float64 (r,).
        floor: the score that a further row must reach; -inf until there are k rows.
    """

    k: int
    slack: float
    rows: Rows = field(default_factory=_no_rows)
    scores: Floats = field(default_factory=_no_scores)
    floor: float = -math.inf

    def add(self, rows: Rows, scores: Floats) -> None:
        """Add rows that were not added before, int64 (m,), and their scores, float64 (m,)."""
        if not len(rows):
            return
        if len(self.rows):
            rows, scores = np.concatenate([self.rows, rows]), np.concatenate([self.scores, scores])
        self.rows, self.scores = rows, scores
        surplus = len(self.rows) - self.k
        if surplus >= 0:
            self.floor = float(np.partition(self.scores, surplus)[surplus]) - self.slack
            is_candidate = self.scores >= self.floor
            self.rows, self.scores = self.rows[is_candidate], self.scores[is_candidate]


def search_top_k(terms: ScoreTerms, bundle: ModelBundle, workspace: SearchWorkspace, k: int) -> TopK:
    """Find the k best available tracks, equal scores by row.

    Looks through the bundle's approximate index for listeners if it has one, else at all tracks that may be among the
    k best. Of a query that is restricted to some tracks, it looks at these.
    """
    if (only := workspace.only) is not None:
        played = only[bundle.popularity[only] > 0]
        scores_of_played = terms.scores_of_rows(bundle, played)
        usable = (scores_of_played != 0) | (not terms.omit_zeros)
        return top_k_of_rows(played[usable], scores_of_played[usable], k)
    items, vector, constant = bundle.norm_sorted_items, terms.vector.astype(np.float32), terms.constant
    uses_factors, norm = bool(terms.vector.any()), math.sqrt(terms.vector @ terms.vector)
    slack = _FLOAT32_ERROR * (norm * items.max_norm + abs(constant) + 16 * abs(terms.popularity_weight))
    best = TopKAccumulator(k, slack)
    if len(terms.rows):
        _add_voted(terms, norm, bundle, workspace, best)
        workspace.exclude(terms.rows, VOTED)

    index = bundle.ann_indexes.get(FOR_LISTENERS)
    if index is not None and uses_factors:
        rows = index.search(np.append(terms.vector, terms.popularity_weight), k, workspace)
        _add_offered(terms, best, rows, terms.scores_without_votes(bundle, rows))
    elif uses_factors or terms.popularity_weight:
        for bound, block in _blocks_by_bound(terms, norm, items, k):
            if not bound >= best.floor:  # also if the bound is not a number
                break
            scores = items.factors[block] @ vector
            if terms.popularity_weight:
                scores += np.float32(terms.popularity_weight) * items.log_popularity[block]
            positions = (scores >= np.float32(best.floor - constant)).nonzero()[0]
            if not len(positions):
                continue
            if terms.omit_zeros:
                positions = positions[scores[positions] != 0]
            block_rows = items.rows[block][positions]
            available = workspace.available(block_rows)
            best.add(block_rows[available].astype(np.int64), scores[positions[available]].astype(np.float64) + constant)
    elif not terms.omit_zeros:
        _add_constant(constant, bundle, workspace, best)

    scores = terms.scores_without_votes(bundle, best.rows)  # again, in float64
    if len(terms.rows):
        voted = np.flatnonzero(workspace.flags[best.rows] & VOTED)
        workspace.slots[terms.rows] = np.arange(len(terms.rows), dtype=np.int32)
        scores[voted] += terms.votes[workspace.slots[best.rows[voted]]]
        workspace.readmit(VOTED)
    return top_k_of_rows(best.rows, scores, k)


def search_nearest(bundle: ModelBundle, vector: NDArray[np.float32], workspace: SearchWorkspace, k: int) -> TopK:
    """Find the k available tracks whose factors have the highest cosine with a vector, (f,), which must not be zeros.

    Looks through the bundle's approximate index for tracks if it has one, else at all tracks: cosines have no norms
    that a search could stop by.
    """
    index = bundle.ann_indexes.get(FOR_TRACKS)
    if index is not None:
        rows = index.search(vector, k, workspace)
    else:
        scores = bundle.item_factors @ (vector / np.linalg.norm(vector))
        norms = bundle.item_norms[: len(scores)]  # without tracks that came after training
        with np.errstate(invalid="ignore"):  # 0 / 0 for tracks without factors
            scores /= norms
        scores[workspace.unavailable[: len(scores)] | (norms == 0)] = -np.inf
        surplus = max(len(scores) - k, 0)
        kth = np.partition(scores, surplus)[surplus]
        rows = np.flatnonzero((scores >= kth - _FLOAT32_ERROR) & (scores > -np.inf))
    unit = vector.astype(np.float64) / float(np.linalg.norm(vector))
    return top_k_of_rows(rows, (bundle.item_factors[rows] @ unit) / bundle.item_norms[rows], k)


def growing_blocks(n: int, first: int, largest: int, growth: int = 2) -> Iterator[slice]:
    """Cut 0..n into slices: `first` rows, then each `growth` times as many, up to `largest` (or `first`)."""
    start, size = 0, first
    while start < n:
        yield slice(start, min(start + size, n))
        start, size = start + size, min(growth * size, max(largest, first))


def _blocks_by_bound(terms: ScoreTerms, norm: float, items: NormSortedItems, k: int) -> Iterator[tuple[float, slice]]:
    """Yield blocks of the sorted items with a bound on their scores; the bounds fall.

    If popularity counts beside the factors, bounds are known for fixed blocks, and the highest comes first. Otherwise
    the norms are in order already, and later blocks can be longer.
    """
    if terms.popularity_weight:
        max_norms, least_popular, most_popular = items.block_bounds
        popularity = most_popular if terms.popularity_weight > 0 else least_popular
        bounds = norm * max_norms + terms.popularity_weight * popularity + terms.constant
        for number in np.argsort(-bounds, kind="stable"):
            yield bounds[number], slice(number * BLOCK, min((number + 1) * BLOCK, len(items)))
    else:
        n = items.nonzero_count if terms.omit_zeros else len(items)
        for block in growing_blocks(n, max(_FIRST, 2 * k), _LARGEST, _GROWTH):
            yield norm * float(items.norms[block.start]) + terms.constant, block


def _add_voted(
    terms: ScoreTerms, norm: float, bundle: ModelBundle, workspace: SearchWorkspace, best: TopKAccumulator
) -> None:
    """Add the available tracks that have votes, the most promising first."""
    available = workspace.available(terms.rows)
    rows, votes = terms.rows[available], terms.votes[available]
    if not terms.vector.any():
        _add_offered(terms, best, rows, votes + terms.scores_without_votes(bundle, rows))
        return
    bounds = votes + norm * bundle.item_norms[rows] + terms.constant
    if terms.popularity_weight:
        bounds += terms.popularity_weight * np.log1p(bundle.popularity[rows])
    order = np.argsort(-bounds)
    for block in growing_blocks(len(order), max(_FIRST, 2 * best.k), _LARGEST, _GROWTH):
        positions = order[block]
        if not bounds[positions[0]] >= best.floor:
            break
        best.add(rows[positions], votes[positions] + terms.scores_without_votes(bundle, rows[positions]))


def _add_offered(terms: ScoreTerms, best: TopKAccumulator, rows: Rows, scores: Floats) -> None:
    if terms.omit_zeros:
        rows, scores = rows[scores != 0], scores[scores != 0]
    best.add(rows, scores)


def _add_constant(constant: float, bundle: ModelBundle, workspace: SearchWorkspace, best: TopKAccumulator) -> None:
    """Add the first available rows, which all have the same score."""
    missing = best.k
    for block in growing_blocks(len(bundle.items), max(_FIRST, 2 * best.k), _LARGEST, _GROWTH):
        if missing < 1 or constant < best.floor:
            break
        rows = np.arange(block.start, block.stop)
        rows = rows[(bundle.popularity[rows] > 0) & workspace.available(rows)][:missing]
        best.add(rows, np.full(len(rows), constant))
        missing -= len(rows)
