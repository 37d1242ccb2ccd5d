"""Tracks that plays say nothing of, or too little, by what their content says of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.ensemble import PERSONAL_ONLY
from engine.retrieval.candidates import Query
from engine.retrieval.early import artist_shares
from engine.retrieval.exact_search import MIN_DEVIATION, TopK, empty_top_k, top_k_of_rows
from engine.retrieval.personal import listener_vector, personal_score_terms, popularity_terms

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


def content(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank the tracks that are found by content, on the scale of the listener's personal scores."""
    rows = bundle.cold_items.rows
    available = workspace.available(rows)
    if not available.any():
        return empty_top_k()
    scores = _all_cold_scores(bundle, query, workspace, is_early=query.early_weights != PERSONAL_ONLY)
    usable = available & ~np.isnan(scores)
    return top_k_of_rows(rows[usable], scores[usable], k)


def cold_scores(
    bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows, *, is_early: bool = False
) -> Floats:
    """Score tracks that are found by content, on the scale of the source "personal", or of "early".

    A track without plays is scored by the listener's vector and the track's own. Its distance from the mean of all
    played tracks, in deviations, is kept when it is put on the scale of the blended scores: where the ensemble is a
    single component with factors, that is the product of both vectors, as for every other track. The more listeners
    a track has, the more its learnt score counts, see `ContentParameters`. In "early" popularity and the artists of
    the history have their weights, too.

    Args:
        rows: int64 (k,), distinct.

    Returns:
        float64 (k,); NaN for tracks that are not found by content, and if nothing is known of the listener.
    """
    scores, cold_rows = np.full(len(rows), np.nan), bundle.cold_items.rows
    if not len(cold_rows):
        return scores
    positions = np.searchsorted(cold_rows, rows)
    is_cold = cold_rows[np.minimum(positions, len(cold_rows) - 1)] == rows
    if is_cold.any():
        of_all = _all_cold_scores(bundle, query, workspace, is_early=is_early)
        scores[is_cold] = of_all[positions[is_cold]]
    return scores


def _all_cold_scores(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, *, is_early: bool) -> Floats:
    """Return the scores of all `ModelBundle.cold_items`, float64 (c,), computed once for a query."""
    name = "cold scores of early" if is_early else "cold scores of personal"
    return workspace.remember(name, query, lambda: _score_cold_items(bundle, query, workspace, is_early))


def _score_cold_items(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, is_early: bool) -> Floats:
    """Return the scores of all `ModelBundle.cold_items`, float64 (c,), see `cold_scores`."""
    cold, space = bundle.cold_items, bundle.space
    unknown = np.full(len(cold.rows), np.nan)
    if space is None or bundle.content is None:
        return unknown
    pairs = bundle.pairs_with_vectors(query.history)
    listener = listener_vector(bundle, query, pairs, workspace)
    if not listener.any():
        return unknown
    vector = listener.astype(np.float64)
    scale = bundle.content.parameters.scale_for(int(np.count_nonzero(pairs.is_positive)))
    mean, deviation = float(space.mean @ vector), math.sqrt(max(float(vector @ space.covariance @ vector), 0.0))
    if deviation <= MIN_DEVIATION * math.hypot(mean, deviation):
        return unknown  # the listener's vector ranks nothing
    standardized = (scale * cold.vectors.multiply(listener).astype(np.float64) - mean) / deviation

    terms = personal_score_terms(bundle, query, workspace)
    if terms is not None and is_early:
        terms = terms.standardize(bundle)
    main_mean, main_deviation = (0.0, 1.0) if terms is None else terms.moments(bundle)
    scores: Floats = main_mean + main_deviation * standardized
    share = cold.share.astype(np.float64)
    is_played = share < 1
    if terms is not None and is_played.any():
        learnt = terms.scores_of_rows(bundle, cold.rows[is_played])
        scores[is_played] = share[is_played] * scores[is_played] + (1 - share[is_played]) * learnt
    if is_early:
        weights = query.early_weights
        by_popularity = popularity_terms(bundle).standardize(bundle).scores_of_rows(bundle, cold.rows)
        scores = weights.personal * scores + weights.popularity * by_popularity
        scores += weights.artists * artist_shares(bundle, query.history, cold.rows)
    return scores
