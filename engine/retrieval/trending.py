"""The tracks that more listeners play than usual."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import Floats, Rows, TopK


def trending(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank the tracks of the process's list of trending tracks, which is the same for all listeners."""
    rows, scores = bundle.live.trending_rows, bundle.live.trending_scores
    available = np.flatnonzero(workspace.available(rows))[:k]
    return rows[available], scores[available]


def score_trending(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return the scores of rows, int64 (k,): float64 (k,); NaN for tracks that are not on the list."""
    scores = np.full(len(rows), np.nan)
    _, at, of_list = np.intersect1d(rows, bundle.live.trending_rows, assume_unique=True, return_indices=True)
    scores[at] = bundle.live.trending_scores[of_list]
    return scores
