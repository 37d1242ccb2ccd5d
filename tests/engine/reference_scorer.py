"""What serving says, the obvious way: scores of all tracks as arrays, then the best of those that are left."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle, Neighbours
from engine.ranking.blend import NEVER, Scores, blend_scores
from engine.retrieval.candidates import Query
from engine.retrieval.fold_in import fold_in
from engine.retrieval.top_k import top_k


def neighbour_scores(neighbours: Neighbours, rows: np.ndarray, confidence: np.ndarray) -> Scores:
    """float32 (items,): Σ of confidence · neighbours over the played tracks."""
    total = np.zeros(len(neighbours.indptr) - 1)
    for row, c in zip(rows, confidence, strict=True):
        near, weights = neighbours.row(row)
        total[near] += c * weights
    return total.astype(np.float32)


def personal(bundle: ModelBundle, query: Query) -> Scores | None:
    pairs = query.pairs(bundle)
    if not pairs.is_positive.any() and query.user_row is None:
        return None
    parts = [_part(bundle, number, query) for number in range(len(bundle.neighbours))]
    if all(part is None for part in parts):
        return None
    if len(parts) > 1:
        silent = [lists is None and i != bundle.factor_part for i, lists in enumerate(bundle.neighbours)]
        parts = [np.log1p(bundle.popularity) if silent[i] else part for i, part in enumerate(parts)]
    weights = bundle.ensemble.weights.for_listeners(np.array([np.count_nonzero(pairs.is_positive)]))
    scores = blend_scores([None if part is None else part[None] for part in parts], weights, bundle.popularity > 0)
    return None if scores is None else scores[0]


def early(bundle: ModelBundle, query: Query) -> Scores | None:
    own = personal(bundle, query)
    if own is None:
        return None
    weights = np.array([[query.trust, 1 - query.trust]], np.float32)
    heard = np.where(np.isfinite(own), own, 0)  # what one part is silent about
    scores = blend_scores([heard[None], np.log1p(bundle.popularity)[None]], weights, bundle.popularity > 0)
    return None if scores is None else scores[0]


def neighbours(bundle: ModelBundle, query: Query) -> Scores | None:
    part = next((i for i, one in enumerate(bundle.neighbours) if one is not None), None)
    votes = None if part is None else _part(bundle, part, query)
    return None if votes is None else np.where(votes > 0, votes, NEVER)


def similar(bundle: ModelBundle, query: Query) -> Scores | None:
    row = None if query.track_id is None else bundle.item_row(query.track_id)
    if row is None:
        return None
    norms = bundle.item_norms
    if norms[row] > 0:
        dots = bundle.item_factors @ bundle.item_factors[row]
        return np.asarray(np.divide(dots, norms * norms[row], out=np.full(len(norms), NEVER), where=norms > 0))
    lists = next((one for one in bundle.neighbours if one is not None), None)
    if lists is None:
        return None
    weights = neighbour_scores(lists, np.array([row]), np.ones(1))
    return np.where(weights > 0, weights, NEVER)


def popular(bundle: ModelBundle, query: Query) -> Scores | None:
    return np.where(bundle.popularity > 0, bundle.popularity, NEVER)


SOURCES = {f.__name__: f for f in (personal, early, neighbours, similar, popular)}


def top_rows(bundle: ModelBundle, query: Query, source: str) -> tuple[np.ndarray, Scores]:
    """Rows of the page that one source gives, and the scores of all tracks that it may give."""
    scores = SOURCES[source](bundle, query)
    if scores is None:
        return np.zeros(0, np.int64), np.full(len(bundle.items), NEVER)
    left = scores.copy()
    for out in (query.exclude, query.forbidden, query.unavailable):
        left[bundle.items.known_rows(out)] = NEVER
    return top_k(left, query.limit), left


def _part(bundle: ModelBundle, number: int, query: Query) -> Scores | None:
    lists, pairs = bundle.neighbours[number], query.pairs(bundle)
    if lists is None and number != bundle.factor_part:
        return None
    confidence = bundle.ensemble.components[number].confidence.compute(pairs, bundle.popularity, bundle.statistics)
    if lists is not None:
        votes = neighbour_scores(lists, pairs.track, confidence)
        if len(bundle.neighbours) == 1 and pairs.is_negative.any():
            votes = np.maximum(votes, 0)
        return votes if votes.any() else None
    if query.user_row is not None and not pairs.is_negative.any():
        vector = bundle.user_factors[query.user_row]
    else:
        vector = fold_in(bundle, pairs.track, confidence)
    if not vector.any():
        return None
    return np.where(bundle.item_norms > 0, bundle.item_factors @ vector, 0).astype(np.float32)
