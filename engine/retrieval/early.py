"""Candidates for a listener with a short history: the ensemble, popularity, and the artists whom they played."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.data.track_features import UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import EarlyWeights
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import Floats, ListenerBlend, Rows, ScoreTerms, TopK, empty_top_k, search_top_k
from engine.retrieval.neighbours import sum_votes
from engine.retrieval.personal import blend_terms, personal_score_terms, popularity_terms


class EarlyTerms(NamedTuple):
    """What is known of a listener with a short history.

    Attributes:
        personal: the scores of the ensemble; None if it has none for this listener.
        popularity: the logarithm of popularity.
        artist_rows: the tracks of the artists whom they played, distinct, int64 (v,).
        artist_shares: how much of their history is by the artist of each of these tracks, above 0 and up to 1,
            float64 (v,).
    """

    personal: ScoreTerms | None
    popularity: ScoreTerms
    artist_rows: Rows
    artist_shares: Floats

    def blend(self, weights: EarlyWeights, bundle: ModelBundle, workspace: SearchWorkspace) -> ScoreTerms | None:
        """Add up the weighted terms, the first two standardized; None if nothing but popularity is known."""
        with_artists = len(self.artist_rows) > 0 and weights.artists > 0
        if self.personal is None and not with_artists:
            return None
        blend = blend_terms(bundle, [self.personal, self.popularity], [weights.personal, weights.popularity], workspace)
        if not with_artists:
            return blend
        rows = np.concatenate([blend.rows, self.artist_rows])
        votes = np.concatenate([blend.votes, weights.artists * self.artist_shares])
        rows, votes = sum_votes(rows, votes, workspace)
        return replace(blend, rows=rows, votes=votes)


def early(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by the blend of `query.early_weights`."""
    terms = early_score_terms(bundle, query, workspace)
    return empty_top_k() if terms is None else search_top_k(terms, bundle, workspace, k)


def early_score_terms(bundle: ModelBundle, query: Query, workspace: SearchWorkspace) -> ScoreTerms | None:
    """Blend the terms by `query.early_weights`, once for all sources of a query."""

    def blend() -> ScoreTerms | None:
        terms = early_terms(bundle, personal_score_terms(bundle, query, workspace), query.history)
        return terms.blend(query.early_weights, bundle, workspace)

    return workspace.remember("early terms", query, blend)


def listener_blends(query: Query, workspace: SearchWorkspace) -> dict[str, ListenerBlend]:
    """Return how the sources that were asked for a query blend the components of the ensemble, by source."""
    terms = {source: workspace.recall(f"{source} terms", query) for source in ("personal", "early")}
    return {source: of_source.blend for source, of_source in terms.items() if of_source is not None}


def early_terms(bundle: ModelBundle, personal: ScoreTerms | None, history: UserItemPairs) -> EarlyTerms:
    """Add popularity and the artists of a history, with track ids, to the personal scores of its listener."""
    pairs, weights = artist_pairs(bundle, history)
    artists, group = np.unique(bundle.features.artist[pairs.track], return_inverse=True)
    shares = np.bincount(group, weights, minlength=len(artists)).astype(np.float64)
    liked = shares > 0
    rows, number = bundle.features.rows_of_artists(artists[liked])
    is_played = bundle.popularity[rows] > 0
    return EarlyTerms(personal, popularity_terms(bundle), rows[is_played], shares[liked][number[is_played]])


def artist_pairs(bundle: ModelBundle, history: UserItemPairs) -> tuple[UserItemPairs, Floats]:
    """Return the pairs of a history whose artist is known, and what each of them adds to the share of its artist.

    Tracks that nobody else has played count too: their artist is all that is known of them. Refused tracks count
    against their artist.

    Args:
        history: of one listener, with track ids.

    Returns:
        m pairs whose `track` column holds rows of the bundle, and float64 (m,).
    """
    rows, is_known = bundle.items.rows(history.track)
    is_known &= history.is_positive | history.is_negative
    is_known[is_known] = bundle.features.artist[rows[is_known]] != UNKNOWN_ID
    pairs = history.where(is_known)
    signs = np.where(pairs.is_positive, 1.0, -1.0)
    return replace(pairs, track=rows[is_known]), signs / max(int(np.count_nonzero(history.is_positive)), 1)


def artist_shares(bundle: ModelBundle, history: UserItemPairs, rows: Rows) -> Floats:
    """Return how much of a history, with track ids, is by the artist of each of some tracks, 0 to 1: float64 (k,)."""
    pairs, weights = artist_pairs(bundle, history)
    artists, group = np.unique(bundle.features.artist[pairs.track], return_inverse=True)
    if not len(artists):
        return np.zeros(len(rows))
    shares = np.maximum(np.bincount(group, weights, minlength=len(artists)), 0)
    of_rows = bundle.features.artist[rows]
    position = np.minimum(np.searchsorted(artists, of_rows), len(artists) - 1)
    return np.where(artists[position] == of_rows, shares[position], 0.0)
