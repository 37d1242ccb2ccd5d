"""The tracks of the artists and tags that a listener wants more of."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.data.sliders import slider_values
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import TopK, empty_top_k, top_k_of_rows
from engine.retrieval.personal import personal_score_terms


def sliders(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank the tracks whose sliders are above 0, by the scores of the ensemble; without any, by popularity."""
    wanted = [slider.track_ids for slider in query.sliders if slider.value > 0]
    if not wanted:
        return empty_top_k()
    rows = np.unique(bundle.items.known_rows(np.concatenate(wanted)))
    rows = rows[workspace.available(rows)]
    rows = rows[slider_values(query.sliders, bundle.items.ids[rows]) > 0]
    terms = personal_score_terms(bundle, query, workspace)
    scores = bundle.popularity[rows].astype(np.float64) if terms is None else terms.scores_of_rows(bundle, rows)
    return top_k_of_rows(rows, scores, k)
