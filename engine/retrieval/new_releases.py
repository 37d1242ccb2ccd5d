"""The tracks that were released in the last weeks, those of artists whom the listener plays first."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.data.track_features import NO_DATE, UNKNOWN_ID
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import Floats, Rows, TopK, empty_top_k, top_k_of_rows

NEW_DAYS = 60
SECONDS_PER_DAY = 86_400
MAX_UNDATED_SHARE = 0.2  # of the catalogue, above which having been added lately does not make a track new


def new_releases(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank the tracks that were released in the last `NEW_DAYS` days, newest first.

    A score is between 0 and 1, higher for newer tracks, and between 1 and 2 for artists of whom the listener has played
    something. A track without a date of release counts from the day on which it was added, unless so many were added
    lately that this must have been the import of a whole catalogue.
    """
    if not query.now:
        return empty_top_k()
    rows = _new_rows(bundle, query, workspace)
    rows = rows[workspace.available(rows)]
    return top_k_of_rows(rows, _scores(bundle, query, rows), k)


def score_new_releases(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return the scores of rows, int64 (k,): float64 (k,); NaN for tracks that are not new."""
    scores = np.full(len(rows), np.nan)
    if query.now:
        is_new = np.isin(rows, _new_rows(bundle, query, workspace))
        scores[is_new] = _scores(bundle, query, rows[is_new])
    return scores


def _new_rows(bundle: ModelBundle, query: Query, workspace: SearchWorkspace) -> Rows:
    """Return the rows of all new tracks, whether they are available or not, int64 (k,)."""

    def find() -> Rows:
        days, today = bundle.features.release_days, query.now // SECONDS_PER_DAY
        rows = np.flatnonzero((days > today - NEW_DAYS) & (days <= today))
        is_undated = bundle.features.released[rows] == NO_DATE
        return rows[~is_undated] if np.count_nonzero(is_undated) > MAX_UNDATED_SHARE * len(days) else rows

    return workspace.remember("new releases", query, find)


def _scores(bundle: ModelBundle, query: Query, rows: Rows) -> Floats:
    age = query.now // SECONDS_PER_DAY - bundle.features.release_days[rows].astype(np.int64)
    artists = np.unique(bundle.features.artist[bundle.items.known_rows(query.history.track[query.history.is_positive])])
    is_of_played_artist = np.isin(bundle.features.artist[rows], artists[artists != UNKNOWN_ID])
    return 1 - age / NEW_DAYS + is_of_played_artist
