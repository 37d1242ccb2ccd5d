"""Score the candidates of all sources by one of them, from plays and from content."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.retrieval.candidates import Query
from engine.retrieval.content import cold_scores
from engine.retrieval.early import early_score_terms
from engine.retrieval.exact_search import Floats, Rows, ScoreTerms
from engine.retrieval.personal import personal_score_terms


def score_personal(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return the scores of "personal"; NaN for tracks that neither plays nor content say anything of."""
    by_content = cold_scores(bundle, query, workspace, rows)
    return _score_rows(bundle, personal_score_terms(bundle, query, workspace), by_content, rows)


def score_early(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return the scores of "early"; NaN for tracks that neither plays nor content say anything of."""
    by_content = cold_scores(bundle, query, workspace, rows, is_early=True)
    return _score_rows(bundle, early_score_terms(bundle, query, workspace), by_content, rows)


def _score_rows(bundle: ModelBundle, terms: ScoreTerms | None, by_content: Floats, rows: Rows) -> Floats:
    scores = np.full(len(rows), np.nan)
    if terms is not None:
        is_played = bundle.popularity[rows] > 0
        by_plays = terms.scores_of_rows(bundle, rows[is_played])
        scores[is_played] = np.where(by_plays == 0, np.nan, by_plays) if terms.omit_zeros else by_plays
    return np.where(np.isnan(by_content), scores, by_content)
