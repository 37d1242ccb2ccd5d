"""The specification of serving: score all tracks as arrays, then take the best of the allowed ones."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle, Neighbours
from engine.data.confidence import recency
from engine.data.track_features import UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs
from engine.ranking.blend import NEVER, Scores, blend_scores
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import top_k
from engine.retrieval.fold_in import fold_in


def neighbour_scores(neighbours: Neighbours, rows: np.ndarray, confidence: np.ndarray) -> Scores:
    """Return Σ confidence · neighbours over the played tracks, float32 (items,)."""
    total = np.zeros(len(neighbours.indptr) - 1)
    for row, c in zip(rows, confidence, strict=True):
        item_rows, weights = neighbours.row(row)
        total[item_rows] += c * weights
    return total.astype(np.float32)


def personal(bundle: ModelBundle, query: Query) -> Scores | None:
    pairs = bundle.known_pairs(query.history)
    if not pairs.is_positive.any() and query.user_row is None:
        return None
    components = [_component_scores(bundle, number, query) for number in range(len(bundle.neighbours))]
    if all(component is None for component in components):
        return None
    if len(components) > 1:
        is_popularity = [n is None and i != bundle.factor_component for i, n in enumerate(bundle.neighbours)]
        components = [np.log1p(bundle.popularity) if is_popularity[i] else c for i, c in enumerate(components)]
    weights = bundle.ensemble.weights.for_listeners(np.array([np.count_nonzero(pairs.is_positive)]))
    scores = blend_scores([None if c is None else c[None] for c in components], weights, bundle.popularity > 0)
    return None if scores is None else scores[0]


def early(bundle: ModelBundle, query: Query) -> Scores | None:
    personal_scores, shares = personal(bundle, query), artist_shares(bundle, query.history)
    weights = query.early_weights
    if personal_scores is None and not (weights.artists and (shares > 0).any()):
        return None
    # A single component of neighbours has no score for most tracks.
    finite = None if personal_scores is None else np.where(np.isfinite(personal_scores), personal_scores, 0)[None]
    scores = blend_scores(
        [finite, np.log1p(bundle.popularity)[None]], np.array([weights[:2]], np.float32), bundle.popularity > 0
    )
    return None if scores is None else (scores[0] + weights.artists * shares).astype(np.float32)


def artist_shares(bundle: ModelBundle, history: UserItemPairs) -> np.ndarray:
    """Return the tracks played less those refused of each artist, as a share of the history, float64 (n,)."""
    shares, artist = np.zeros(len(bundle.items)), bundle.features.artist
    rows, is_known = bundle.items.rows(history.track)
    for row in rows[is_known & history.is_positive]:
        shares[(artist == artist[row]) & (artist != UNKNOWN_ID)] += 1
    for row in rows[is_known & history.is_negative]:
        shares[(artist == artist[row]) & (artist != UNKNOWN_ID)] -= 1
    return np.maximum(shares, 0) / max(np.count_nonzero(history.is_positive), 1)


def neighbours(bundle: ModelBundle, query: Query) -> Scores | None:
    number = next((i for i, item_neighbours in enumerate(bundle.neighbours) if item_neighbours is not None), None)
    scores = None if number is None else _component_scores(bundle, number, query)
    return None if scores is None else np.where(scores > 0, scores, NEVER)


def similar(bundle: ModelBundle, query: Query) -> Scores | None:
    row = None if query.track_id is None else bundle.item_row(query.track_id)
    if row is None:
        return None
    norms = bundle.item_norms
    if norms[row] > 0:
        dots = bundle.item_factors @ bundle.item_factors[row]
        return np.asarray(np.divide(dots, norms * norms[row], out=np.full(len(norms), NEVER), where=norms > 0))
    item_neighbours = next((n for n in bundle.neighbours if n is not None), None)
    if item_neighbours is None:
        return None
    weights = neighbour_scores(item_neighbours, np.array([row]), np.ones(1))
    return np.where(weights > 0, weights, NEVER)


def popular(bundle: ModelBundle, query: Query) -> Scores | None:
    return np.where(bundle.popularity > 0, bundle.popularity, NEVER)


SOURCES = {f.__name__: f for f in (personal, early, neighbours, similar, popular)}


def top_rows(bundle: ModelBundle, query: Query, source: str) -> tuple[np.ndarray, Scores]:
    """Return the best rows of one candidate source, and the scores of all tracks that it may recommend."""
    scores = SOURCES[source](bundle, query)
    if scores is None:
        return np.zeros(0, np.int64), np.full(len(bundle.items), NEVER)
    allowed_scores = scores.copy()
    for excluded_ids in (query.exclude, query.forbidden, query.unavailable):
        allowed_scores[bundle.items.known_rows(excluded_ids)] = NEVER
    if query.only is not None:
        allowed_scores[~np.isin(bundle.items.ids, query.only)] = NEVER
    return top_k(allowed_scores, query.limit), allowed_scores


def _component_scores(bundle: ModelBundle, number: int, query: Query) -> Scores | None:
    item_neighbours, pairs = bundle.neighbours[number], bundle.known_pairs(query.history)
    if item_neighbours is None and number != bundle.factor_component:
        return None
    confidence = bundle.ensemble.components[number].confidence.compute(pairs, bundle.popularity, bundle.statistics)
    if item_neighbours is not None:
        votes = confidence * recency(pairs, bundle.ensemble.components[number].recency)
        scores = neighbour_scores(item_neighbours, pairs.track, votes)
        if len(bundle.neighbours) == 1 and pairs.is_negative.any():
            scores = np.maximum(scores, 0)
        return scores if scores.any() else None
    if query.user_row is not None and not pairs.is_negative.any():
        vector = bundle.user_factors[query.user_row]
    else:
        vector = fold_in(bundle, pairs.track, confidence)
    if not vector.any():
        return None
    return np.where(bundle.item_norms > 0, bundle.item_factors @ vector, 0).astype(np.float32)
