"""The tracks that a listener has played already, to be recommended again."""

from __future__ import annotations

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.models.repeat import Repeat
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import TopK, empty_top_k, top_k_of_rows
from engine.retrieval.personal import personal_score_terms


def repeat(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank the tracks of the listener's history, apart from those they dislike or only ever skipped.

    After `query.repeat_before`, neither a track that the listener has played since nor another track of the same
    recording is repeated.

    A version with a component of own tracks ranks them by its blend, because it was tuned with repeats in mind; all
    others, which were not, by base-level activation.
    """
    pairs = bundle.known_pairs(query.history)
    pairs = pairs.where(pairs.is_positive)
    if not len(pairs):
        return empty_top_k()
    if any(component.trainer.own_tracks_only for component in bundle.ensemble.components):
        terms = personal_score_terms(bundle, query, workspace)
        if terms is None:
            return empty_top_k()
        scores = terms.scores_of_rows(bundle, pairs.track)
    else:
        confidence = Repeat.default_confidence.compute(pairs, bundle.popularity, bundle.statistics)
        scores = confidence.astype(np.float64)
    available = workspace.available(pairs.track)
    if query.repeat_before:
        is_recent = pairs.newest > query.repeat_before
        if is_recent.any():
            recordings = bundle.features.recording[pairs.track]
            available &= ~np.isin(recordings, recordings[is_recent])
    return top_k_of_rows(pairs.track[available], scores[available], k)
