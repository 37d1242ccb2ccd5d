"""What goes on a session: the tracks that sequence models expect next."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.models.sequences.base import ScoredItems
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import Floats, Rows, TopK, empty_top_k, top_k_of_rows


def session(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank the tracks that may follow those of `query.session`, by the sequence model of the version.

    There are none without a session, in a version without such a model, and if it knows no track of the session.
    """
    if bundle.sequence is None or not len(query.session):
        return empty_top_k()
    rows, scores = _score_session(bundle, query, workspace)
    available = workspace.available(rows)
    return top_k_of_rows(rows[available], scores[available].astype(np.float64), k)


def score_session(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return the scores of "session"; NaN for tracks that the sequence model does not expect."""
    scores = np.full(len(rows), np.nan)
    if bundle.sequence is not None and len(query.session):
        expected, of_expected = _score_session(bundle, query, workspace)
        if len(expected):
            at = np.minimum(np.searchsorted(expected, rows), len(expected) - 1)
            scores = np.where(expected[at] == rows, of_expected[at].astype(np.float64), np.nan)
    return scores


def _score_session(bundle: ModelBundle, query: Query, workspace: SearchWorkspace) -> ScoredItems:
    """Score what may come next, once for all sources of a query."""
    assert bundle.sequence is not None
    sequence = bundle.sequence
    return workspace.remember("session", query, lambda: sequence.score(bundle.items.known_rows(query.session)))
