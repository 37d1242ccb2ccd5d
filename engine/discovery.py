"""Artists and genres for a listener, by the tracks that would be recommended to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import EXCLUDED, TAKEN
from engine.data.track_features import UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs
from engine.pipeline import open_workspace
from engine.policy import MAX_CANDIDATES, Policy
from engine.ranking.candidate_pool import CandidatePool, gather_candidates
from engine.ranking.picks import Pick
from engine.retrieval.candidates import SOURCES, Query
from engine.retrieval.early import listener_blends
from engine.retrieval.exact_search import ListenerBlend

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
NO_ARTISTS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class RelevantTracks:
    """k tracks for a listener, the most relevant first.

    Attributes:
        bundle: the version that proposed them.
        track_ids: int64 (k,).
        artist: of each track, int64 (k,); UNKNOWN_ID if it is not known.
        relevance: what a slate goes by before its dials, see `CandidatePool.merit`: about 1 for the best, and 0 for
            those that only fill a slate, float64 (k,).
        blends: see `Ranking.blends`.
    """

    bundle: ModelBundle
    track_ids: Ids
    artist: Ids
    relevance: Floats
    blends: Mapping[str, ListenerBlend]
    _pools: tuple[CandidatePool, ...]
    _pool: Ids
    _index: Ids

    def pick(self, number: int) -> Pick:
        """Return a track with the source that contributed most."""
        pool: CandidatePool = self._pools[self._pool[number]]
        return pool.pick(int(self._index[number]), self.bundle)


def find_known_artists(bundle: ModelBundle, history: UserItemPairs) -> Ids:
    """Return the artists of the tracks that a listener has played, skipped or has an opinion of: int64 (a,), ascending.

    Args:
        history: its `track` column holds track ids.
    """
    artists: Ids = np.unique(bundle.features.artist[bundle.items.known_rows(history.track)])
    return np.asarray(artists[artists != UNKNOWN_ID])


def gather_relevant(
    bundle: ModelBundle, query: Query, policy: Policy, without_artists: Ids = NO_ARTISTS
) -> RelevantTracks:
    """Ask the sources of a policy for as many tracks as they may propose, and order them by relevance alone.

    The sources that fill a slate follow with the relevance 0. Of a recording there may be several tracks.

    Args:
        bundle: the version.
        query: of a listener; its limit does not count.
        policy: its dials, head, caps and number of candidates do not count.
        without_artists: whose tracks are left out, int64 (a,), distinct.
    """
    sources = dict(policy.sources)
    if any(slider.value > 0 for slider in query.sliders):
        sources.setdefault("sliders", 0.0)
    pools: list[CandidatePool] = []
    relevance: list[Floats] = []
    with open_workspace(bundle, query, policy) as workspace:
        workspace.exclude(bundle.items.known_rows(query.exclude), EXCLUDED)
        workspace.exclude(bundle.features.rows_of_artists(without_artists)[0], EXCLUDED)
        for asked in (sources, *({name: 1.0} for name in policy.fill)):
            proposals = {name: SOURCES[name](bundle, query, workspace, MAX_CANDIDATES) for name in asked}
            pool = gather_candidates(bundle, query, workspace, proposals, asked)
            workspace.exclude(pool.rows, TAKEN)
            relevance.append(np.maximum(pool.merit, 0.0) if not pools else np.zeros(len(pool.rows)))
            pools.append(pool)
        blends = listener_blends(query, workspace)
    rows = np.concatenate([pool.rows for pool in pools])
    number = np.repeat(np.arange(len(pools)), [len(pool.rows) for pool in pools])
    index = np.concatenate([np.arange(len(pool.rows)) for pool in pools])
    # Within a pool that fills, the first source's order is that of its merit.
    order = np.lexsort((-np.concatenate([pool.merit for pool in pools]), number, -np.concatenate(relevance)))
    rows = rows[order]
    return RelevantTracks(
        bundle,
        bundle.items.ids[rows],
        bundle.features.artist[rows],
        np.concatenate(relevance)[order],
        blends,
        tuple(pools),
        number[order],
        index[order],
    )


class TrackGroup(NamedTuple):
    """An artist or a genre.

    Attributes:
        id: of the artist or the tag.
        score: the sum of the relevance of its most relevant tracks, divided by the number of tracks that count.
        tracks: the positions of these tracks among the relevant ones, the most relevant first.
    """

    id: int
    score: float
    tracks: tuple[int, ...]


def rank_groups(group: Ids, track: Ids, relevance: Floats, best: int, limit: int) -> list[TrackGroup]:
    """Rank groups of tracks by the relevance of their best tracks.

    One that has fewer tracks is ranked as if the others had no relevance: a single track says little. Of groups with
    the same score, the one with the earlier track comes first.

    Args:
        group: an entry for each track of each group, int64 (p,).
        track: positions of the tracks among the relevant ones, int64 (p,).
        relevance: of all k tracks, the most relevant first, float64 (k,), not below 0.
        best: how many tracks of a group count.
        limit: the number of groups to return.
    """
    order = np.lexsort((track, group))
    group, track = group[order], track[order]
    ids, starts, counts = np.unique(group, return_index=True, return_counts=True)
    number = np.repeat(np.arange(len(ids)), counts)
    counted = np.arange(len(group)) - starts[number] < best
    scores = np.bincount(number[counted], relevance[track[counted]], len(ids)) / best
    return [
        TrackGroup(int(ids[i]), float(scores[i]), tuple(track[starts[i] : starts[i] + min(counts[i], best)].tolist()))
        for i in np.lexsort((track[starts], -scores))[:limit]
    ]
