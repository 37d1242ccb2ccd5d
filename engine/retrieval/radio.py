"""Tracks for a radio: near to its station, as near and as popular as its mode asks for, until there are none left.

A station is a sum of parts (see `Station.parts`), each a direction with a strength. How near a track is, its affinity,

    affinity(i) = cos(station, vector(i)) + votes(i)

is known by the vectors of the version, by the votes of neighbours, or by both, as `similar` knows what is similar:

- In the space of the version, the direction of a part is the mean of the directions of its tracks. A version whose
  ensemble has no factors has auxiliary ones; a track without plays has a vector by its content.
- In a version with neighbours, the votes of a part are those of its tracks by their shares, 1 for the highest.
- Without either, as without a model, tracks of the seeds have the affinity of the strength of their part, and further
  tracks by the same artists half of it.

Ranked by affinity, the r-th of n tracks has the closeness 1 - log(r) / log(n): from 1 for the nearest one to 0, in
equal steps for each multiple of r. The value by which tracks are offered is

    value(i) = -|closeness(i) - closeness of the mode| + popularity of the mode · popularity percentile(i) + 0.05 · u(i)

where u is pseudo-random, between 0 and 1, by the seed of the query: two radios from one artist do not begin alike.
Below them come the tracks of which the station says nothing, by popularity, and then those that it points away from,
whose affinity is below 0, so that a radio goes on until the catalogue ends.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.hashing import hash_to_unit_interval
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import TopK, empty_top_k, search_nearest, top_k, top_k_of_rows
from engine.retrieval.neighbours import neighbour_votes
from engine.retrieval.popularity import popular, random
from engine.retrieval.station import MODES, Station, StationPart

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Vector = NDArray[np.float32]
NEAREST = 2_000  # tracks that are looked at; the hard mode begins at the 390th of 50,000 and the 2,000th of a million
ARTIST_SHARE = 0.5  # of the affinity of a seed's track that others by its artist have, where nothing else is known
JITTER = 0.05
OTHERS_BELOW = 10.0  # by how much the values of tracks that are not near to the station are lower


def radio(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by their value for `query.station`; nothing without a station."""
    station = query.station
    if station is None:
        return empty_top_k()
    parts = _known_parts(bundle, station)
    rows, affinity = _affinities(bundle, parts, station, workspace, max(k, NEAREST))
    is_near = (affinity >= 0) | station.only_seeds
    near = rows[is_near]
    best, values = top_k_of_rows(near, _values(bundle, query, station, near, affinity[is_near]), k)
    if len(best) == k or station.only_seeds:
        return best, values
    away = rows[~is_near][np.argsort(-affinity[~is_near], kind="stable")]
    unknown = _tracks_without_affinity(bundle, query, workspace, rows, k - len(best))
    more = np.concatenate([unknown, away])[: k - len(best)]
    return np.concatenate([best, more]), np.append(values, -OTHERS_BELOW - np.arange(len(more)) / len(bundle.items))


class RadioReason(NamedTuple):
    """The track of a station that speaks most for a pick, and the share that its part has in what speaks for it."""

    track_id: int
    share: float


def explain_radio(bundle: ModelBundle, station: Station, track_ids: Rows) -> dict[int, RadioReason]:
    """Return by pick which track of the station is nearest to it, in the part that contributes most.

    Picks of which the vectors of the version say nothing have no reason, unless they are tracks of a seed or by the
    artist of one.

    Args:
        track_ids: of the picks, int64 (k,).
    """
    parts = [part for part in _known_parts(bundle, station) if part.strength > 0]
    rows, is_known = bundle.items.rows(track_ids)
    if not parts or not is_known.any():
        return {}
    rows, ids = rows[is_known], track_ids[is_known]
    similarities = [_similarities(bundle, rows, part.track_ids) * part.shares for part in parts]  # each (picks, tracks)
    contributions = np.array([part.strength * s.sum(axis=1) for part, s in zip(parts, similarities, strict=True)])
    total = contributions.sum(axis=0)
    strongest = contributions.argmax(axis=0)
    reasons = {}
    for pick, (track_id, number) in enumerate(zip(ids.tolist(), strongest.tolist(), strict=True)):
        if contributions[number, pick] > 0:
            nearest = int(bundle.items.ids[parts[number].track_ids[similarities[number][pick].argmax()]])
            reasons[track_id] = RadioReason(nearest, float(contributions[number, pick] / total[pick]))
    return reasons


def _similarities(bundle: ModelBundle, rows: Rows, others: Rows) -> Floats:
    """Return how similar tracks are to others, 0 where nothing says that they are: float64 (rows, others)."""
    one, other = _directions(bundle, rows), _directions(bundle, others)
    similarities = np.maximum((one @ other.T).astype(np.float64), 0.0)
    artist, of_others = bundle.features.artist[rows], bundle.features.artist[others]
    is_same_artist = np.equal.outer(np.where(artist < 0, -2, artist), of_others)  # unknown ones are not the same
    is_unknown = np.logical_or.outer(~one.any(axis=1), ~other.any(axis=1))
    similarities[is_unknown & is_same_artist] = ARTIST_SHARE
    return np.where(np.equal.outer(rows, others), 1.0, similarities)


def _known_parts(bundle: ModelBundle, station: Station) -> list[StationPart]:
    """Return the parts of a station with rows in place of ids, without tracks that the version does not know."""
    known_parts = []
    for part in station.parts():
        rows, is_known = bundle.items.rows(part.track_ids)
        if is_known.any():
            shares = part.shares[is_known]
            known_parts.append(StationPart(rows[is_known], shares / shares.sum(), part.strength))
    return known_parts


def _affinities(
    bundle: ModelBundle, parts: list[StationPart], station: Station, workspace: SearchWorkspace, k: int
) -> tuple[Rows, Floats]:
    """Return the available tracks that are near to a station, about k of them, and their affinities."""
    vector = _station_vector(bundle, parts)
    near, cosines = empty_top_k()
    voted, votes = _votes(bundle, parts, workspace)
    own = np.unique(np.concatenate([np.zeros(0, np.int64), *(part.track_ids for part in parts)]))
    if station.only_seeds:
        seeded = [bundle.items.known_rows(seed.track_ids) for seed in station.seeds if seed.weight > 0]
        rows = np.unique(np.concatenate([np.zeros(0, np.int64), *seeded]))
    elif vector.any() or len(voted):
        best_voted = voted[top_k(np.where(workspace.available(voted), votes, -np.inf), k)]
        near, cosines = _nearest(bundle, vector, workspace, k)
        rows = np.unique(np.concatenate([near, best_voted, own]))
    else:
        artists = np.unique(bundle.features.artist[own])
        rows = np.union1d(own, bundle.features.rows_of_artists(artists[artists >= 0])[0])
    rows = rows[workspace.available(rows)]
    if not len(rows):
        return rows, np.zeros(0)
    affinity, is_unknown = np.zeros(len(rows)), np.ones(len(rows), np.bool_)
    at = np.searchsorted(rows, near)  # all of them are available
    affinity[at], is_unknown[at] = cosines, False
    others = np.flatnonzero(is_unknown)  # reading their vectors, which are scattered, takes longer than the rest
    vectors, length = _directions(bundle, rows[others]), float(np.linalg.norm(vector))
    affinity[others] = (vectors @ vector).astype(np.float64) / length if length else 0.0
    is_unknown[others] = ~vectors.any(axis=1)
    _, positions, of_voted = np.intersect1d(rows, voted, assume_unique=True, return_indices=True)
    affinity[positions] += votes[of_voted]
    is_unknown[positions] = False
    if is_unknown.any():
        affinity[is_unknown] = _affinity_by_artist(bundle, parts, rows[is_unknown])
    return rows, affinity


def _station_vector(bundle: ModelBundle, parts: list[StationPart]) -> Vector:
    """Return the sum of the directions of the parts by their strengths, float32 (f,)."""
    vector = np.zeros(0 if bundle.space is None else bundle.space.item_factors.shape[1], np.float32)
    for part in parts:
        direction = part.shares.astype(np.float32) @ _directions(bundle, part.track_ids)
        if length := float(np.linalg.norm(direction)):
            vector += np.float32(part.strength / length) * direction
    return vector


def _directions(bundle: ModelBundle, rows: Rows) -> Vector:
    """Return the vectors of tracks at length 1, or zeros where nothing is known: float32 (k, f)."""
    vectors = bundle.vectors(rows)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0))


def _votes(bundle: ModelBundle, parts: list[StationPart], workspace: SearchWorkspace) -> tuple[Rows, Floats]:
    """Return the distinct tracks that the neighbours of a station's tracks vote for or against, and the sums."""
    component = bundle.item_item_component
    lists = None if component is None else bundle.neighbours[component]
    if lists is None:
        return np.zeros(0, np.int64), np.zeros(0)
    all_rows, all_votes = [np.zeros(0, np.int64)], [np.zeros(0)]
    for part in parts:
        rows, votes = neighbour_votes(lists, part.track_ids, part.shares.astype(np.float32), workspace)
        if (highest := votes.max(initial=0.0)) > 0:
            all_rows.append(rows)
            all_votes.append(part.strength * np.maximum(votes, 0) / highest)
    distinct, position = np.unique(np.concatenate(all_rows), return_inverse=True)
    return distinct, np.bincount(position, np.concatenate(all_votes), len(distinct)).astype(np.float64)


def _nearest(bundle: ModelBundle, vector: Vector, workspace: SearchWorkspace, k: int) -> TopK:
    """Return the k nearest available tracks that were played, and the k nearest that were not, by their content.

    The scores are the cosines with the vector.
    """
    space = bundle.space
    if space is None or not vector.any():
        return empty_top_k()
    length = float(np.linalg.norm(vector))
    if bundle.auxiliary is None:
        played, cosines = search_nearest(bundle, vector, workspace, k)
    else:
        n = len(space.item_factors)  # without tracks that came after training
        of_all = np.full(n, -np.inf)
        lengths = space.item_lengths
        is_offered = (lengths > 0) & ~workspace.unavailable[:n]
        np.divide(space.item_factors @ vector, lengths, out=of_all, where=is_offered)
        played = top_k(of_all, k)
        cosines = of_all[played] / length
    cold = bundle.cold_items
    if not len(cold.rows):
        return played, cosines
    is_offered = workspace.available(cold.rows) & (bundle.popularity[cold.rows] == 0)
    of_cold = np.where(is_offered, cold.vectors.multiply(vector) / cold.vectors.norms, -np.inf)
    best = top_k(of_cold, k)
    return np.concatenate([played, cold.rows[best]]), np.concatenate([cosines, of_cold[best] / length])


def _affinity_by_artist(bundle: ModelBundle, parts: list[StationPart], rows: Rows) -> Floats:
    """Return the affinity of tracks that have neither vectors nor votes: by the tracks and the artists of the parts."""
    affinity, artists = np.zeros(len(rows)), bundle.features.artist
    for part in parts:
        is_of_artist = np.isin(artists[rows], np.unique(artists[part.track_ids])) & (artists[rows] >= 0)
        is_own = np.isin(rows, part.track_ids)
        affinity += part.strength * np.where(is_own, 1.0, np.where(is_of_artist, ARTIST_SHARE, 0.0))
    return affinity


def _values(bundle: ModelBundle, query: Query, station: Station, rows: Rows, affinity: Floats) -> Floats:
    """Return the value of tracks with these affinities; equal ones have the same closeness."""
    if not len(rows):
        return np.zeros(0)
    mode = MODES[station.mode]
    descending = np.sort(-affinity)
    rank = np.searchsorted(descending, -affinity) + 1
    closeness = 1 - np.log(rank) / math.log(max(len(bundle.items), 2))
    popularity = bundle.track_statistics.popularity_percentiles[rows].astype(np.float64)
    jitter = hash_to_unit_interval(bundle.items.ids[rows], query.seed)
    values: Floats = -np.abs(closeness - mode.closeness) + mode.popularity * popularity + JITTER * jitter
    return values


def _tracks_without_affinity(
    bundle: ModelBundle, query: Query, workspace: SearchWorkspace, offered: Rows, k: int
) -> Rows:
    """Return up to k available tracks that were not offered, popular ones first, then those that nobody played."""
    rows = np.zeros(0, np.int64)
    for source in (popular, random):
        more, _ = source(bundle, query, workspace, k + len(offered) + len(rows))
        rows = np.concatenate([rows, more[~np.isin(more, np.concatenate([offered, rows]))]])
        if len(rows) >= k:
            break
    return rows[:k]
