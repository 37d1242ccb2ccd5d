"""What goes on a session: the tracks that sequence models expect next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.models.sequences.base import ScoredItems, scores_of
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import Floats, Rows, TopK, empty_top_k, top_k_of_rows

LAST_TRACKS = 3  # of a session, among which the reason for a pick is looked for


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
    if bundle.sequence is None or not len(query.session):
        return np.full(len(rows), np.nan)
    scores = scores_of(_score_session(bundle, query, workspace), rows)
    return np.where(scores > 0, scores, np.nan)


def explain_session(
    bundle: ModelBundle, query: Query, track_ids: Sequence[int], tracks: int = 2
) -> dict[int, list[tuple[int, float]]]:
    """Return the tracks of the session after each of which alone some tracks are expected, too.

    Args:
        bundle: the version that proposed the tracks.
        query: what it was asked.
        track_ids: the tracks, which "session" proposed.
        tracks: the number of tracks to return for each of them, at most.

    Returns:
        By track id, those of the last `LAST_TRACKS` tracks of the session that contribute most, and the share of each
        among these tracks. A track is missing if none of them alone leads to it.
    """
    rows = bundle.items.known_rows(track_ids)
    ids = bundle.items.ids[rows].tolist()
    last = list(dict.fromkeys(reversed(query.session.tolist())))[:LAST_TRACKS]
    scores = np.zeros((len(last), len(rows)))
    with bundle.workspaces.borrow() as workspace:
        for number, track_id in enumerate(last):
            alone = replace(query, session=np.array([track_id], np.int64))
            scores[number] = np.nan_to_num(score_session(bundle, alone, workspace, rows))
    reasons = {}
    for track_id, of_track in zip(ids, scores.T, strict=True):
        best = [int(i) for i in np.argsort(-of_track, kind="stable")[:tracks] if of_track[i] > 0]
        if best:
            reasons[track_id] = [(last[i], float(of_track[i] / of_track.sum())) for i in best]
    return reasons


def _score_session(bundle: ModelBundle, query: Query, workspace: SearchWorkspace) -> ScoredItems:
    """Score what may come next, once for all sources of a query."""
    assert bundle.sequence is not None
    sequence = bundle.sequence
    return workspace.remember("session", query, lambda: sequence.score(bundle.items.known_rows(query.session)))
