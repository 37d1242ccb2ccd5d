"""Sources: functions of one shape, `(bundle, query, marks) -> finder`, tried in order by the pipeline.

A finder gives the best tracks of its source among those that are free; None stands for nothing to offer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.bundle.exclusion_mask import SearchWorkspace
from engine.bundle.model_bundle import ModelBundle
from engine.data.user_item_pairs import UserItemPairs
from engine.retrieval.exact_search import search_similar, search_top_k
from engine.retrieval.fold_in import fold_in
from engine.retrieval.item_knn_scores import Votes, summed, votes
from engine.retrieval.rankings import by_popularity, shuffled
from engine.retrieval.score_terms import ScoreTerms
from engine.retrieval.top_k import TopK, top_k_of_rows


def _no_ids() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Query:
    """One question.

    past: what the listener has done until now, `track` holding track ids · user_row: their row where the model has
    seen exactly that · exclude: track ids to leave out while there are others · forbidden: track ids never to offer ·
    unavailable: more of them, a long list that many queries share: the same array each time, never written to, so that
    its ids are looked up once · trust: the share of `personal` in `early`, the rest is popularity's · seed: makes the
    pseudo-random source differ between listeners, and never between two calls · timed: gives what surrounds a step, by
    its name ("fold_in").
    """

    limit: int
    seed: int = 0
    user_row: int | None = None
    past: UserItemPairs = field(default_factory=UserItemPairs.empty)
    exclude: NDArray[np.int64] = field(default_factory=_no_ids)
    forbidden: NDArray[np.int64] = field(default_factory=_no_ids)
    unavailable: NDArray[np.int64] = field(default_factory=_no_ids)
    track_id: int | None = None
    trust: float = 1.0
    timed: Callable[[str], AbstractContextManager[object]] = nullcontext

    def pairs(self, bundle: ModelBundle) -> UserItemPairs:
        """What speaks for or against a track that the bundle knows something of; `track` holds its rows."""
        past = self.past
        rows, known = bundle.items.rows(past.track)
        known &= bundle.popularity[rows] > 0 if len(bundle.items) else False
        said = known & (past.is_positive | past.is_negative)
        return replace(past.where(said), track=rows[said])


Finder = Callable[[int], TopK]
"""k → the k best tracks that are free: rows, and their scores."""
CandidateSource = Callable[[ModelBundle, Query, SearchWorkspace], Finder | None]


def personal(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> Finder | None:
    return _finder(personal_score_terms(bundle, query, marks), bundle, marks)


def early(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> Finder | None:
    """For a listener of whom little is known: `personal` and popularity, both standardised, the first by `trust`."""
    return _finder(early_score_terms(bundle, query, marks), bundle, marks)


def neighbours(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> Finder | None:
    """The first item–item part alone, from the current plays; only tracks that something played speaks for."""
    part = next((i for i, one in enumerate(bundle.neighbours) if one is not None), None)
    if part is None:
        return None
    rows, given = _voted(bundle, part, query.pairs(bundle), marks)
    return lambda k: _best_votes(rows, given, marks, k)


def similar(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> Finder | None:
    """Cosine of the item factors with those of `query.track_id`; in a version without factors, its neighbours."""
    row = None if query.track_id is None else bundle.item_row(query.track_id)
    if row is None:
        return None
    if bundle.item_norms[row] > 0:
        return lambda k: search_similar(bundle, row, marks, k)
    lists = next((one for one in bundle.neighbours if one is not None), None)
    if lists is None:
        return None
    near, weights = lists.row(row)
    return lambda k: _best_votes(near, weights, marks, k)


def popular(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> Finder | None:
    """How many listeners played each track."""
    return lambda k: by_popularity(bundle, marks, k)


def random(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> Finder | None:
    """A fixed pseudo-random order of all tracks for each seed."""
    return lambda k: shuffled(len(bundle.items), query.seed, marks, k)


SOURCES: dict[str, CandidateSource] = {f.__name__: f for f in (personal, early, neighbours, similar, popular, random)}


def personal_score_terms(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> ScoreTerms | None:
    """The recipe's parts, blended: factors by the stored vector where it is up to date, else by the current plays
    folded in; neighbours by the current plays. None for a listener of whom only refusals are known.

    One part keeps its scale, and never offers what it is silent about.
    """
    if query.user_row is not None and bundle.neighbours == (None,) and not query.past.is_negative.any():
        return _factors_of(bundle.user_factors[query.user_row], silent=True)  # as below, and no more than that
    pairs = query.pairs(bundle)
    if not pairs.is_positive.any() and query.user_row is None:
        return None
    parts = [_part(bundle, number, query, pairs, marks) for number in range(len(bundle.neighbours))]
    if len(parts) == 1:
        return parts[0] and replace(parts[0], silent=True)
    if all(part is None for part in parts):
        return None
    weights = bundle.ensemble.weights.for_listeners(np.array([np.count_nonzero(pairs.is_positive)]))[0]
    parts = [_popularity(bundle) if _popular(bundle, i) else part for i, part in enumerate(parts)]
    return _blended(bundle, parts, [float(weight) for weight in weights], marks)


def early_score_terms(bundle: ModelBundle, query: Query, marks: SearchWorkspace) -> ScoreTerms | None:
    own = personal_score_terms(bundle, query, marks)
    return own and _blended(bundle, [own, _popularity(bundle)], [query.trust, 1 - query.trust], marks)


def _blended(
    bundle: ModelBundle, parts: Sequence[ScoreTerms | None], weights: Sequence[float], marks: SearchWorkspace
) -> ScoreTerms:
    """What the parts say that know anything, each standardised and weighed."""
    said = [(part, weight) for part, weight in zip(parts, weights, strict=True) if part is not None]
    scaled = [part.standardised(bundle).times(weight) for part, weight in said]
    voting = [one for one in scaled if len(one.rows)]
    rows, given = (voting[0].rows, voting[0].votes) if voting else ScoreTerms.no_votes()
    if len(voting) > 1:
        together = np.concatenate([one.rows for one in voting]), np.concatenate([one.votes for one in voting])
        rows, given = summed(*together, marks.slots)
    vector = np.sum([one.vector for one in scaled], axis=0)
    return ScoreTerms(vector, sum(one.popular for one in scaled), sum(one.constant for one in scaled), rows, given)


def _part(
    bundle: ModelBundle, number: int, query: Query, pairs: UserItemPairs, marks: SearchWorkspace
) -> ScoreTerms | None:
    """What one part of the recipe has to say about this listener; None for nothing."""
    if bundle.neighbours[number] is not None:
        rows, given = _voted(bundle, number, pairs, marks)
        if (
            len(bundle.neighbours) == 1 and pairs.is_negative.any()
        ):  # what refusals speak against is not offered as theirs
            given = np.maximum(given, 0)
        return ScoreTerms(np.zeros(bundle.factors), rows=rows, votes=given) if given.any() else None
    if number != bundle.factor_part:
        return None
    if query.user_row is not None and not pairs.is_negative.any():  # the model was fitted without refusals
        vector = bundle.user_factors[query.user_row]
    else:
        weigh = bundle.ensemble.components[number].confidence.compute
        with query.timed("fold_in"):
            vector = fold_in(bundle, pairs.track, weigh(pairs, bundle.popularity, bundle.statistics))
    return _factors_of(vector)


def _factors_of(vector: NDArray[np.float32], silent: bool = False) -> ScoreTerms | None:
    return ScoreTerms(vector.astype(np.float64), silent=silent) if vector.any() else None


def _voted(bundle: ModelBundle, number: int, pairs: UserItemPairs, marks: SearchWorkspace) -> Votes:
    lists = bundle.neighbours[number]
    assert lists is not None
    confidence = bundle.ensemble.components[number].confidence.compute(pairs, bundle.popularity, bundle.statistics)
    rows, given = votes(lists, pairs.track, confidence, marks.slots)
    offered = bundle.popularity[rows] > 0
    return (rows, given) if offered.all() else (rows[offered], given[offered])


def _popular(bundle: ModelBundle, number: int) -> bool:
    return bundle.neighbours[number] is None and number != bundle.factor_part


def _popularity(bundle: ModelBundle) -> ScoreTerms:
    return ScoreTerms(np.zeros(bundle.factors), popular=1.0)


def _finder(sum_: ScoreTerms | None, bundle: ModelBundle, marks: SearchWorkspace) -> Finder | None:
    return None if sum_ is None else lambda k: search_top_k(sum_, bundle, marks, k)


def _best_votes(rows: NDArray[np.int64], given: NDArray[np.float64], marks: SearchWorkspace, k: int) -> TopK:
    said = (given > 0) & marks.free(rows)
    return top_k_of_rows(rows[said], given[said], k)
