"""Item-based nearest neighbours: tracks that are neighbours of the played tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, Neighbours
from engine.bundle.workspace import SearchWorkspace
from engine.data.confidence import recency
from engine.data.user_item_pairs import UserItemPairs
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import TopK, empty_top_k, top_k_of_rows

Rows = NDArray[np.int64]
Votes = tuple[Rows, NDArray[np.float64]]
"""Distinct rows int64 (v,) and the sum of the votes for each, float64 (v,)."""
_MANY_VOTES = 4  # tracks of the catalogue per vote, below which votes are added up over all tracks


def neighbours(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by the first item-item component alone, from the current plays; only those with positive votes."""
    component = bundle.item_item_component
    if component is None:
        return empty_top_k()
    rows, votes = component_votes(bundle, component, query, bundle.pairs_with_vectors(query.history), workspace)
    return top_k_of_votes(rows, votes, workspace, k)


def component_votes(
    bundle: ModelBundle, component: int, query: Query, pairs: UserItemPairs, workspace: SearchWorkspace
) -> Votes:
    """Sum the votes of one item-item component for the tracks that somebody played, once for all sources of a query.

    Args:
        component: index of a component of the ensemble that has neighbours.
        pairs: those of `query.history` whose tracks have vectors, see `ModelBundle.pairs_with_vectors`.
    """
    lists = bundle.neighbours[component]
    assert lists is not None

    def add_up() -> Votes:
        rows, votes = neighbour_votes(lists, pairs.track, vote_weights(bundle, component, pairs), workspace)
        played = bundle.popularity[rows] > 0
        return (rows, votes) if played.all() else (rows[played], votes[played])

    return workspace.remember(f"votes of component {component}", query, add_up)


def vote_weights(bundle: ModelBundle, component: int, pairs: UserItemPairs) -> NDArray[np.float32]:
    """Compute how much the votes of each played track count in a component: confidence times recency, float32 (k,)."""
    config = bundle.ensemble.components[component]
    weights = config.confidence.compute(pairs, bundle.popularity, bundle.statistics)
    return weights * recency(pairs, config.recency) if config.recency else weights


def neighbour_votes(
    neighbours: Neighbours, rows: Rows, confidence: NDArray[np.float32], workspace: SearchWorkspace
) -> Votes:
    """Multiply a listener's row of confidences by the matrix of neighbours, without an array as long as the catalogue.

    Args:
        rows: the played tracks, distinct, int64 (k,).
        confidence: in each of them, float32 (k,).
    """
    entries, lengths = neighbours.entries(rows)
    votes = neighbours.weights[entries] * np.repeat(confidence, lengths)
    return sum_votes(neighbours.indices[entries], votes, workspace)


def sum_votes(rows: NDArray[np.integer], votes: NDArray[np.floating], workspace: SearchWorkspace) -> Votes:
    """Add up the votes for the same row, without sorting; rows whose sum is 0 may be left out.

    Many votes are added up over the whole catalogue, which then takes half of the time; few in an array as long as
    their number, to whose positions the array `slots` maps the rows.
    """
    slots = workspace.slots
    if len(rows) > len(slots) // _MANY_VOTES:
        sums = np.bincount(rows, votes, minlength=len(slots)).astype(np.float64)
        distinct = np.flatnonzero(sums).astype(np.int64)
        return distinct, sums[distinct]
    order = np.arange(len(rows), dtype=np.int32)
    slots[rows] = order
    is_last = slots[rows] == order  # of the entries of a row, the one that was written last
    distinct = rows[is_last].astype(np.int64)
    slots[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, np.bincount(slots[rows], votes, minlength=len(distinct)).astype(np.float64)


def top_k_of_votes(rows: Rows, votes: NDArray[np.float64], workspace: SearchWorkspace, k: int) -> TopK:
    """Return the k best available tracks with positive votes."""
    usable = (votes > 0) & workspace.available(rows)
    return top_k_of_rows(rows[usable], votes[usable], k)
