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
    rows = rows[workspace.available(rows)]
    if not len(rows):
        return empty_top_k()
    scores = cold_scores(bundle, query, workspace, rows)
    is_known = ~np.isnan(scores)
    return top_k_of_rows(rows[is_known], scores[is_known], k)


def cold_scores(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Score tracks that are found by content, on the scale of the sources "personal" and "early".

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
    scores = np.full(len(rows), np.nan)
    cold, space = bundle.cold_items, bundle.space
    positions = np.searchsorted(cold.rows, rows)
    if not len(cold.rows) or space is None or bundle.content is None:
        return scores
    is_cold = cold.rows[np.minimum(positions, len(cold.rows) - 1)] == rows
    positions = positions[is_cold]
    pairs = bundle.pairs_with_vectors(query.history)
    vector = listener_vector(bundle, query, pairs).astype(np.float64)
    if not len(positions) or not vector.any():
        return scores
    scale = bundle.content.parameters.scale_for(int(np.count_nonzero(pairs.is_positive)))
    mean, deviation = float(space.mean @ vector), math.sqrt(max(float(vector @ space.covariance @ vector), 0.0))
    products = scale * (cold.vectors[positions] @ vector)
    if deviation <= MIN_DEVIATION * math.hypot(mean, deviation):
        return scores  # the listener's vector ranks nothing
    standardized = (products - mean) / deviation

    terms = personal_score_terms(bundle, query, workspace)
    is_early = query.early_weights != PERSONAL_ONLY
    if terms is not None and is_early:
        terms = terms.standardize(bundle)
    main_mean, main_deviation = (0.0, 1.0) if terms is None else terms.moments(bundle)
    by_content = main_mean + main_deviation * standardized
    share = cold.share[positions].astype(np.float64)
    is_played = share < 1
    if terms is not None and is_played.any():
        learnt = terms.scores_of_rows(bundle, rows[is_cold][is_played])
        by_content[is_played] = share[is_played] * by_content[is_played] + (1 - share[is_played]) * learnt
    if is_early:
        weights, cold_rows = query.early_weights, rows[is_cold]
        by_popularity = popularity_terms(bundle).standardize(bundle).scores_of_rows(bundle, cold_rows)
        by_content = weights.personal * by_content + weights.popularity * by_popularity
        by_content += weights.artists * artist_shares(bundle, query.history, cold_rows)
    scores[is_cold] = by_content
    return scores
