"""Take the scores of picks apart into what each track of the listener's history contributes to them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, Neighbours
from engine.bundle.workspace import SearchWorkspace
from engine.data.user_item_pairs import UserItemPairs
from engine.retrieval.candidates import Query
from engine.retrieval.early import artist_pairs, early_terms
from engine.retrieval.fold_in import fold_in_system
from engine.retrieval.neighbours import vote_weights
from engine.retrieval.personal import blend_components, blend_weights, component_terms

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Contributions:
    """The scores of k tracks for one listener, taken apart.

    score = Σ history + popularity + constant

    Attributes:
        pairs: the m tracks of the history that the version knows, dislikes included, with rows as tracks.
        history: what each of them contributes to each score, float64 (k, m).
        popularity: what the popularity of each track contributes beyond that of the average track, float64 (k,).
        constant: what is the same for all tracks.
    """

    pairs: UserItemPairs
    history: Floats
    popularity: Floats
    constant: float

    @property
    def scores(self) -> Floats:
        """float64 (k,)."""
        return np.asarray(self.history.sum(axis=1) + self.popularity + self.constant)

    def shares(self) -> Floats:
        """Return the part that each track of the history has in what speaks for each pick, float64 (k, m).

        What speaks for a pick are the contributions above 0, popularity's included, so that the shares of a pick add
        up to 1 minus that of its popularity. Where nothing does, all are 0.
        """
        positive = np.maximum(self.history, 0)
        total = positive.sum(axis=1) + np.maximum(self.popularity, 0)
        shares: Floats = np.divide(positive, total[:, None], out=np.zeros_like(positive), where=total[:, None] > 0)
        return shares


class HistoryReason(NamedTuple):
    """What the listener's history says for one pick.

    Attributes:
        because: ids of the tracks that contribute most, and the share of each, best first.
        share: of the whole history; the rest is popularity's.
    """

    because: list[tuple[int, float]]
    share: float


def explain_by_history(
    bundle: ModelBundle, query: Query, source: str, track_ids: Sequence[int], k: int = 2
) -> dict[int, HistoryReason]:
    """Find the tracks of the history that contribute most to each pick of one source.

    Args:
        bundle, query, source: see `explain_scores`.
        track_ids: the picks, distinct.
        k: the number of tracks to name. Only tracks that the listener does not dislike are named, and never the pick.

    Returns:
        by track id, without picks that the history says nothing for.
    """
    picks = {row: track_id for track_id in track_ids if (row := bundle.item_row(track_id)) is not None}
    rows = np.fromiter(picks, np.int64, len(picks))
    contributions = explain_scores(bundle, query, source, rows)
    if contributions is None:
        return {}
    shares, history = contributions.shares(), contributions.pairs
    totals = shares.sum(axis=1)
    named = np.where(history.is_positive & (history.track != rows[:, None]), shares, 0)
    best = np.argsort(-named, axis=1, kind="stable")[:, :k]
    best_ids, best_shares = bundle.items.ids[history.track[best]], np.take_along_axis(named, best, axis=1)
    return {
        picks[row]: HistoryReason([(i, s) for i, s in zip(ids, parts, strict=True) if s > 0], share)
        for row, ids, parts, share in zip(picks, best_ids.tolist(), best_shares.tolist(), totals.tolist(), strict=True)
        if share > 0
    }


def explain_scores(bundle: ModelBundle, query: Query, source: str, rows: Rows) -> Contributions | None:
    """Take the scores of some picks of one source apart.

    The result is exact. A component with factors is linear in the confidences of the listener's tracks once its system
    is set up (Hu, Koren & Volinsky 2008, section 5), and so are the votes of neighbours; a blend scales both. A
    listener whose stored vector is up to date is folded in all the same: the stored one comes from the same equations,
    but was solved approximately and with item factors of one step earlier, so that it has no exact parts.

    In a solved fold-in a disliked track contributes 0: it does not add to the scores, but changes what the others add.

    Args:
        bundle: the version that ranked the picks.
        query: the query that it ranked them for.
        source: "personal", "early" or "neighbours".
        rows: the picks, distinct, int64 (k,).

    Returns:
        None if the history has no score in this source.
    """
    query = replace(query, user_row=None, time_fold_in=nullcontext)
    pairs = bundle.pairs_with_vectors(query.history)
    with bundle.workspaces.borrow() as workspace:
        if source == "neighbours":
            component = bundle.item_item_component
            if component is None or not pairs.is_positive.any():
                return None
            history = _component_contributions(bundle, component, pairs, rows, workspace)
            return Contributions(pairs, history, np.zeros(len(rows)), 0.0)
        components = component_terms(bundle, query, pairs, workspace)
        terms, scale = blend_components(bundle, components, pairs, workspace), 1.0
        if source == "early":
            scale = query.early_weights.personal * (terms.standardization(bundle)[0] if terms else 0.0)
            early = early_terms(bundle, terms, query.history)
            terms = early.blend(query.early_weights, bundle, workspace)
        if terms is None:
            return None
        weights = blend_weights(bundle, pairs)
        history = np.zeros((len(rows), len(pairs)))
        for i, component_scores in enumerate(components):
            if component_scores is None or component_scores.popularity_weight:
                continue
            standard = component_scores.standardization(bundle)[0] * weights[i] if len(components) > 1 else 1.0
            history += scale * standard * _component_contributions(bundle, i, pairs, rows, workspace)
    if source == "early" and query.early_weights.artists:
        pairs, history = _add_artists(bundle, query, pairs, history, rows)
    mean_popularity = float(bundle.norm_sorted_items.mean[-1])
    popularity = terms.popularity_weight * (np.log1p(bundle.popularity[rows].astype(np.float64)) - mean_popularity)
    return Contributions(pairs, history, popularity, terms.constant + terms.popularity_weight * mean_popularity)


def _add_artists(
    bundle: ModelBundle, query: Query, pairs: UserItemPairs, history: Floats, rows: Rows
) -> tuple[UserItemPairs, Floats]:
    """Add what each track of the history adds to the tracks of its artist.

    Args:
        pairs: the m pairs that the version knows.
        history: their contributions to k tracks, float64 (k, m).

    Returns:
        The pairs, and those of tracks of which nothing but the artist is known, and all their contributions.
    """
    by_artist, weights = artist_pairs(bundle, query.history)
    artist, artist_of_row = bundle.features.artist[by_artist.track], bundle.features.artist[rows]
    is_same = artist_of_row[:, None] == artist
    # An artist of whom more was refused than played adds nothing.
    contributions = np.where((is_same @ weights > 0)[:, None] & is_same, query.early_weights.artists * weights, 0.0)
    catalogue_rows, is_known = bundle.items.rows(query.history.track)
    is_named = is_known & np.isin(catalogue_rows, np.append(pairs.track, by_artist.track))
    every = replace(query.history.where(is_named), track=catalogue_rows[is_named])
    total = np.zeros((len(rows), len(every)))
    total[:, np.searchsorted(every.track, pairs.track)] += history
    total[:, np.searchsorted(every.track, by_artist.track)] += contributions
    return every, total


def _component_contributions(
    bundle: ModelBundle, component: int, pairs: UserItemPairs, rows: Rows, workspace: SearchWorkspace
) -> Floats:
    """Compute what each pair adds to the score of each row in one component, neither standardized nor weighted.

    Returns:
        float64 (k, m).
    """
    lists = bundle.neighbours[component]
    if lists is not None:
        return _vote_contributions(lists, pairs.track, vote_weights(bundle, component, pairs), rows, workspace)
    confidence = bundle.ensemble.components[component].confidence
    weights = confidence.compute(pairs, bundle.popularity, bundle.statistics)
    return factor_contributions(bundle, pairs.track, weights, rows)


def factor_contributions(bundle: ModelBundle, tracks: Rows, confidence: NDArray[np.float32], rows: Rows) -> Floats:
    """Compute what each track of a history adds to the products of the folded-in vector with factors of other tracks.

    One factorization of the listener's system is enough for all of them. In the notation of Hu, Koren & Volinsky (2008,
    section 5) the contribution of track j to the score of track i is s_ij · c_uj, with s_ij = y_i · W · y_j and
    W = (YᵀCY + λI)⁻¹.

    Args:
        tracks: rows of the history, distinct, int64 (m,).
        confidence: in each of them, float32 (m,).
        rows: of the scored tracks, int64 (k,).

    Returns:
        float64 (k, m); zeros if no confidence is positive.
    """
    system = fold_in_system(bundle, tracks, confidence)
    if system is None:
        return np.zeros((len(rows), len(tracks)))
    # score = factors · a⁻¹ · tracksᵀ · targets, in which a is symmetric.
    solved = system.solve(bundle.vectors(rows).astype(np.float64).T)
    return np.asarray(solved.T @ system.tracks.T * system.targets)


def _vote_contributions(
    neighbours: Neighbours, tracks: Rows, weights: NDArray[np.float32], rows: Rows, workspace: SearchWorkspace
) -> Floats:
    """Select the votes of m tracks for k rows, times the weights of the tracks: float64 (k, m)."""
    entries, lengths = neighbours.entries(tracks)
    voted, slots = neighbours.indices[entries], workspace.slots
    slots[voted] = -1
    slots[rows] = np.arange(len(rows), dtype=np.int32)
    positions = slots[voted]
    is_pick = positions >= 0
    voters = np.repeat(np.arange(len(tracks)), lengths)[is_pick]
    contributions = np.zeros((len(rows), len(tracks)))
    contributions[positions[is_pick], voters] = neighbours.weights[entries[is_pick]] * weights[voters].astype(
        np.float64
    )
    return contributions
