"""Take the scores of picks apart into what each track of the listener's history contributes to them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, Neighbours
from engine.data.track_features import UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs
from engine.retrieval.candidates import Query
from engine.retrieval.early import artist_pairs, early_score_terms
from engine.retrieval.exact_search import ListenerBlend
from engine.retrieval.fold_in import fold_in_system
from engine.retrieval.neighbours import vote_weights
from engine.retrieval.personal import personal_score_terms

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
OFTEN_TRACKS = 3  # a listener who has played so many tracks of an artist plays them often


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
        is_artist: whether all of `because` are by one artist whom the listener plays often.
    """

    because: list[tuple[int, float]]
    share: float
    is_artist: bool


def explain_by_history(
    bundle: ModelBundle,
    query: Query,
    source: str,
    track_ids: Sequence[int],
    k: int = 2,
    blend: ListenerBlend | None = None,
) -> dict[int, HistoryReason]:
    """Find the tracks of the history that contribute most to each pick of one source.

    Args:
        bundle, query, source, blend: see `explain_scores`.
        track_ids: the picks, distinct.
        k: the number of tracks to name. Only tracks that the listener does not dislike are named, and never the pick.

    Returns:
        by track id, without picks that neither the history nor popularity says anything for.
    """
    picks = np.array(track_ids, np.int64)
    rows, is_known = bundle.items.rows(picks)
    if source != "content":
        is_known[is_known] = bundle.popularity[rows[is_known]] > 0
    picks, rows = picks[is_known], rows[is_known]
    contributions = explain_scores(bundle, query, source, rows, blend)
    if contributions is None:
        return {}
    shares, history = contributions.shares(), contributions.pairs
    totals = shares.sum(axis=1)
    named = np.where(history.is_positive & (history.track != rows[:, None]), shares, 0)
    best = _best_columns(named, k)
    best_shares = np.take_along_axis(named, best, axis=1)
    artists = bundle.features.artist[history.track]
    best_artists = artists[best]
    first_artist = best_artists[:, :1]
    is_by_first = (artists == first_artist) & history.is_positive & (history.count > 0)
    is_artist = (
        ((best_artists == first_artist) & (best_shares > 0)).all(axis=1)
        & (first_artist[:, 0] != UNKNOWN_ID)
        & (is_by_first.sum(axis=1) >= OFTEN_TRACKS)
    )
    best_ids = bundle.items.ids[history.track[best]]
    speaks_for = (totals > 0) | (contributions.popularity > 0)
    columns = (picks, best_ids, best_shares, totals, is_artist, speaks_for)
    return {
        track_id: HistoryReason([(i, s) for i, s in zip(ids, parts, strict=True) if s > 0], share, by_artist)
        for track_id, ids, parts, share, by_artist, is_reason in zip(*(c.tolist() for c in columns), strict=True)
        if is_reason
    }


def _best_columns(shares: Floats, k: int) -> NDArray[np.int64]:
    """Return the columns of the k highest shares of each row, equal ones by column: int64 (rows, at most k)."""
    remaining, best = shares.copy(), []
    for _ in range(min(k, shares.shape[1])):  # a few maxima take a tenth of the time of sorting
        best.append(remaining.argmax(axis=1))
        remaining[np.arange(len(remaining)), best[-1]] = -1
    return np.stack(best, axis=1)


def explain_scores(
    bundle: ModelBundle, query: Query, source: str, rows: Rows, blend: ListenerBlend | None = None
) -> Contributions | None:
    """Take the scores of some picks of one source apart.

    The result is exact. A component with factors is linear in the confidences of the listener's tracks once its system
    is set up (Hu, Koren & Volinsky 2008, section 5), and so are the votes of neighbours; a blend scales both. A
    listener whose stored vector is up to date is folded in all the same: the stored one comes from the same equations,
    but was solved approximately and with item factors of one step earlier, so that it has no exact parts.

    Of "content" only the product of the listener's vector with those of the tracks is taken apart, without its scale
    and without what popularity and artists add for listeners with a short history.

    In a solved fold-in a disliked track contributes 0: it does not add to the scores, but changes what the others add.

    Args:
        bundle: the version that ranked the picks.
        query: the query that it ranked them for.
        source: "personal", "early", "neighbours" or "content".
        rows: the picks, distinct, int64 (k,).
        blend: how the source blended the components when it ranked the picks; found out again without it, which
            takes as long as scoring.

    Returns:
        None if the history has no score in this source.
    """
    pairs = bundle.pairs_with_vectors(query.history)
    if source == "content":
        history = _vector_contributions(bundle, pairs, rows)
        return Contributions(pairs, history, np.zeros(len(rows)), 0.0)
    if source == "neighbours" or (source == "personal" and len(bundle.neighbours) == 1):  # not blended
        component = bundle.item_item_component if source == "neighbours" else 0
        if component is None or not pairs.is_positive.any():
            return None
        history = _component_contributions(bundle, component, pairs, rows)
        return Contributions(pairs, history, np.zeros(len(rows)), 0.0)
    if blend is None:
        terms_of = early_score_terms if source == "early" else personal_score_terms
        with bundle.workspaces.borrow() as workspace:
            terms = terms_of(bundle, replace(query, user_row=None, time_fold_in=nullcontext), workspace)
        if terms is None:
            return None
        blend = terms.blend
    history = np.zeros((len(rows), len(pairs)))
    for component, scale in blend.scales.items():
        if scale:
            history += scale * _component_contributions(bundle, component, pairs, rows)
    if source == "early" and query.early_weights.artists:
        pairs, history = _add_artists(bundle, query, pairs, history, rows)
    mean_popularity = float(bundle.norm_sorted_items.mean[-1])
    popularity = blend.popularity_weight * (np.log1p(bundle.popularity[rows].astype(np.float64)) - mean_popularity)
    return Contributions(pairs, history, popularity, blend.constant + blend.popularity_weight * mean_popularity)


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


def _component_contributions(bundle: ModelBundle, component: int, pairs: UserItemPairs, rows: Rows) -> Floats:
    """Compute what each pair adds to the score of each row in one component, neither standardized nor weighted.

    Returns:
        float64 (k, m).
    """
    lists = bundle.neighbours[component]
    if lists is not None:
        return vote_contributions(lists, pairs.track, vote_weights(bundle, component, pairs), rows)
    if component != bundle.factor_component:
        return np.zeros((len(rows), len(pairs)))
    return _vector_contributions(bundle, pairs, rows)


def _vector_contributions(bundle: ModelBundle, pairs: UserItemPairs, rows: Rows) -> Floats:
    """Compute what each pair adds to the product of the listener's vector with that of each row: float64 (k, m)."""
    if bundle.space is None:
        return np.zeros((len(rows), len(pairs)))
    confidence = bundle.space.confidence.compute(pairs, bundle.popularity, bundle.statistics)
    return factor_contributions(bundle, pairs.track, confidence, bundle.vectors(rows))


def factor_contributions(
    bundle: ModelBundle, tracks: Rows, confidence: NDArray[np.float32], factors: NDArray[np.float32]
) -> Floats:
    """Compute what each track of a history adds to the products of the folded-in vector with the factors of others.

    One factorization of the listener's system is enough for all of them. In the notation of Hu, Koren & Volinsky (2008,
    section 5) the contribution of track j to the score of track i is s_ij · c_uj, with s_ij = y_i · W · y_j and
    W = (YᵀCY + λI)⁻¹.

    Args:
        tracks: rows of the history, distinct, int64 (m,).
        confidence: in each of them, float32 (m,).
        factors: of the scored tracks, float32 (k, f).

    Returns:
        float64 (k, m); zeros if no confidence is positive.
    """
    system = fold_in_system(bundle, tracks, confidence)
    if system is None:
        return np.zeros((len(factors), len(tracks)))
    # score = factors · a⁻¹ · tracksᵀ · targets, in which a is symmetric.
    solved = system.solve(factors.astype(np.float64).T)
    return np.asarray(solved.T @ system.tracks.T * system.targets)


def vote_contributions(neighbours: Neighbours, tracks: Rows, weights: NDArray[np.float32], rows: Rows) -> Floats:
    """Select the votes of m tracks for k rows, times the weights of the tracks: float64 (k, m).

    The entries of each track are ascending, so a binary search finds them, for all pairs at once.
    """
    if not len(neighbours.indices):
        return np.zeros((len(rows), len(tracks)))
    n = len(neighbours.indptr) - 1  # tracks from n on came after training and have no neighbours
    start, end = neighbours.indptr[np.minimum(tracks, n)], neighbours.indptr[np.minimum(tracks + 1, n)]
    wanted = rows[:, None].astype(np.int32)
    below = np.tile(start - 1, (len(rows), 1))  # the last entry known to be lower than the wanted one
    for bit in reversed(range(int((end - start).max(initial=0)).bit_length())):
        probe = below + (1 << bit)
        is_below = (probe < end) & (neighbours.indices.take(probe, mode="clip") < wanted)
        np.copyto(below, probe, where=is_below)
    position = below + 1
    is_neighbour = (position < end) & (neighbours.indices.take(position, mode="clip") == wanted)
    return np.where(is_neighbour, neighbours.weights.take(position, mode="clip") * weights.astype(np.float64), 0)
