"""Tracks similar to a track: by who plays them, by their content, or by both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.row_vectors import RowVectors
from engine.bundle.workspace import SearchWorkspace
from engine.retrieval.candidates import CF, CONTENT, HYBRID, Query
from engine.retrieval.exact_search import Floats, Rows, TopK, empty_top_k, search_nearest, top_k_of_rows
from engine.retrieval.neighbours import top_k_of_votes

Vector = NDArray[np.float32]


def similar(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by their similarity to `query.track_id`, of the kind `query.similarity`.

    - `CF`: by the cosine of factors, or in a version without factors by the votes of the track's neighbours. Only for
      and among tracks that somebody played.
    - `CONTENT`: by the cosine of the vectors of content, among all tracks whose content is known.
    - `HYBRID`: by the cosine of the vectors in the space of the version, which move from content to plays with the
      number of listeners: for a track without plays, it is by content, and tracks without plays are found by theirs.
      In a version without factors, the votes of neighbours and the cosine by content are added up with the shares that
      plays and content have for the track asked about.

    A version without content has the first kind only.
    """
    row = None if query.track_id is None else bundle.items.row(query.track_id)
    if row is None:
        return empty_top_k()
    if query.similarity == CF or bundle.content is None:
        return _by_plays(bundle, row, workspace, k)
    if query.similarity == CONTENT:
        return _by_content(bundle, row, workspace, k)
    if bundle.auxiliary is None:
        return _by_vectors(bundle, row, workspace, k)
    share = float(bundle.content_share[row])
    by_plays, by_content = _by_plays(bundle, row, workspace, k), _by_content(bundle, row, workspace, k)
    if not len(by_plays[0]):
        return by_content
    rows = np.union1d(by_plays[0], by_content[0])
    scores = np.zeros(len(rows))
    scores[np.searchsorted(rows, by_plays[0])] += (1 - share) * by_plays[1] / by_plays[1].max()
    scores[np.searchsorted(rows, by_content[0])] += share * by_content[1]
    return top_k_of_rows(rows, scores, k)


def score_similar(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return the scores that `similar` gives these tracks; NaN for those that it knows nothing of."""
    row = None if query.track_id is None else bundle.items.row(query.track_id)
    if row is None:
        return np.full(len(rows), np.nan)
    if query.similarity == CF or bundle.content is None:
        return _votes_or_cosines(bundle, row, rows)
    if query.similarity == HYBRID and bundle.auxiliary is None:
        return _cosines_or_nan(bundle.vectors(np.array([row]))[0], bundle.vectors(rows))
    if query.similarity == CONTENT:
        return _content_cosines(bundle, row, rows)
    by_plays, by_content = _mixture(bundle, row, rows)
    return np.where(
        np.isnan(by_plays) & np.isnan(by_content), np.nan, np.nan_to_num(by_plays) + np.nan_to_num(by_content)
    )


def find_similar_by_content(bundle: ModelBundle, query: Query, track_ids: Sequence[int]) -> NDArray[np.bool_]:
    """Return for each of some tracks whether it is content, rather than plays, that makes it similar to the query's.

    Args:
        track_ids: what `similar` has found, k tracks.

    Returns:
        bool (k,).
    """
    rows, is_known = bundle.items.rows(track_ids)
    row = None if query.track_id is None else bundle.items.row(query.track_id)
    if row is None or bundle.content is None:
        return np.zeros(len(rows), np.bool_)
    if query.similarity == CONTENT or bundle.popularity[row] == 0:
        return np.ones(len(rows), np.bool_)
    is_by_content = ~is_known | (bundle.popularity[rows] == 0)
    if query.similarity == HYBRID and bundle.auxiliary is not None:
        by_plays, by_content = _mixture(bundle, row, rows)
        is_by_content |= np.nan_to_num(by_content) > np.nan_to_num(by_plays)
    return np.asarray(is_by_content)


def _mixture(bundle: ModelBundle, row: int, rows: Rows) -> tuple[Floats, Floats]:
    """Return what plays and what content add to the hybrid similarity of rows to one, in a version without factors.

    Returns:
        Two arrays, float64 (k,), NaN where plays or content say nothing.
    """
    by_plays, by_content = _votes_or_cosines(bundle, row, rows), _content_cosines(bundle, row, rows)
    highest = np.fmax.reduce(by_plays, initial=-np.inf)
    if not highest > 0:
        return np.full(len(rows), np.nan), by_content
    share = float(bundle.content_share[row])
    return (1 - share) * by_plays / highest, share * by_content


def _content_cosines(bundle: ModelBundle, row: int, rows: Rows) -> Floats:
    assert bundle.content is not None
    return _cosines_or_nan(bundle.content.vectors_of(np.array([row]))[0], bundle.content.vectors_of(rows))


def _votes_or_cosines(bundle: ModelBundle, row: int, rows: Rows) -> Floats:
    """Return what plays say of the similarity of some rows to one; NaN where they say nothing."""
    scores = np.full(len(rows), np.nan)
    played = np.flatnonzero(bundle.popularity[rows] > 0)
    if bundle.popularity[row] == 0:
        return scores
    if bundle.item_norms[row] > 0:
        scores[played] = _cosines_or_nan(bundle.item_factors[row], bundle.item_factors[rows[played]])
        return scores
    component = bundle.item_item_component
    lists = None if component is None else bundle.neighbours[component]
    if lists is not None:
        others, weights = lists.row(row)
        _, positions, of_others = np.intersect1d(rows, others[weights > 0], assume_unique=True, return_indices=True)
        scores[positions] = weights[weights > 0][of_others]
    return scores


def _cosines_or_nan(vector: Vector, vectors: Vector) -> Floats:
    """Return the cosine of each vector, float32 (k, f), with one; NaN for zeros."""
    lengths = np.linalg.norm(vectors, axis=1).astype(np.float64) * float(np.linalg.norm(vector))
    products = (vectors @ vector).astype(np.float64)
    return np.asarray(np.divide(products, lengths, out=np.full(len(vectors), np.nan), where=lengths > 0))


def _by_plays(bundle: ModelBundle, row: int, workspace: SearchWorkspace, k: int) -> TopK:
    if bundle.popularity[row] == 0:
        return empty_top_k()
    if bundle.item_norms[row] > 0:
        return search_nearest(bundle, bundle.item_factors[row], workspace, k)
    component = bundle.item_item_component
    lists = None if component is None else bundle.neighbours[component]
    return empty_top_k() if lists is None else top_k_of_votes(*lists.row(row), workspace, k)


def _by_vectors(bundle: ModelBundle, row: int, workspace: SearchWorkspace, k: int) -> TopK:
    vector = bundle.vectors(np.array([row]))[0]
    if not vector.any():
        return empty_top_k()
    played = search_nearest(bundle, vector, workspace, k)
    unplayed = _nearest(vector, bundle.cold_items.vectors, workspace, k)
    rows, scores = (np.concatenate(parts) for parts in zip(played, unplayed, strict=True))
    return top_k_of_rows(rows, scores, k)


def _by_content(bundle: ModelBundle, row: int, workspace: SearchWorkspace, k: int) -> TopK:
    assert bundle.content is not None
    vector = bundle.content.vectors_of(np.array([row]))[0]
    if not vector.any():
        return empty_top_k()
    return _nearest(vector, bundle.content_vectors, workspace, k)


def _nearest(vector: Vector, others: RowVectors, workspace: SearchWorkspace, k: int) -> TopK:
    """Return the k available rows whose vectors have the highest cosines with a vector."""
    available = workspace.available(others.rows)
    if not available.any():
        return empty_top_k()
    products = others.multiply(vector)[available].astype(np.float64)
    norms = others.norms[available] * float(np.linalg.norm(vector))
    return top_k_of_rows(others.rows[available], products / norms, k)
