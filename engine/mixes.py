"""The mixes of a listener: several lists of tracks, each about a part of their taste, that share no recording.

Each list is a slate of the pipeline, for the listener's history or for a part of it: a mix about an artist is what
would be recommended to somebody who plays nothing else. So mixes work with every family of models, and caps hold.

What a list contains depends on the history, the version and the day alone. On each day most of the mixes are made from
another 70 % of the listener's tracks, so that they change from day to day even if nothing else does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.confidence import DAY_SECONDS
from engine.data.track_features import UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs
from engine.hashing import hash_to_unit_interval
from engine.pipeline import REPEATS, Caps, Dials, Pick, Policy, Ranking, append_picks, recommend
from engine.retrieval.candidates import SCORERS, Query

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
DAILY_MIX, DISCOVERY, ON_REPEAT = "daily_mix", "discovery", "on_repeat"
REDISCOVER, NEW_RELEASES, BECAUSE_YOU_LOVE = "rediscover", "new_releases", "because_you_love"
LENGTH = 40  # of a mix
SMALL_CATALOGUE = 12  # mixes have no more than this fraction of the tracks each, so that there are some for all
OWN_LENGTH = 20  # of a mix of known tracks only, so that something is left of them for the daily mixes
MIN_TRACKS = 4  # a shorter mix is left out
MAX_CLUSTERS, TRACKS_PER_CLUSTER = 6, 10  # a listener has a daily mix for each ten tracks
MAX_CLUSTERED = 500  # tracks of a listener, those that count most
ROUNDS = 10  # of k-means; the few tracks of one listener settle in fewer
ARTISTS, TOP_ARTISTS = 2, 10  # mixes about an artist, and among how many artists they take turns
MIN_ARTIST_TRACKS = 2  # that the listener knows of such an artist
MAX_SEEDS = 20
NEW_CANDIDATES = 100
SHARE_OF_A_DAY = 0.7  # of the listener's tracks, which speak for a mix on one day
RECENT_DAYS, LONG_AGO_DAYS = 30, 60
MIN_RECENT_PLAYS, MIN_LOVED_PLAYS = 2, 3

_OWN = replace(REPEATS, name="own tracks", caps=Caps(per_artist=0, artist_gap=0))
_DAILY = Policy(
    "daily mix",
    {"personal": 1.0},
    may_repeat=False,
    dials=Dials(familiarity=0.5, diversity=0.2, repeat_after_hours=0.0),
    caps=Caps(per_artist=3),
)
_BECAUSE = Policy("because", {"personal": 1.0}, may_repeat=False, dials=Dials(diversity=0.2))
NEWEST = Policy("new releases", {"new_releases": 1.0}, may_repeat=False)
"""The newest tracks, whoever asks."""


def _no_ids() -> Ids:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Mix:
    """One list of tracks for a listener.

    Attributes:
        kind: what it is about.
        number: from 1, among the mixes of its kind.
        picks: the tracks, best first.
        seeds: ids of tracks of the listener that it rests on, those that count most first: int64 (k,), at most 20; none
            for a mix that rests on all of them.
        artist: the id of the artist that it is about; None if it is about none.
    """

    kind: str
    number: int
    picks: list[Pick]
    seeds: Ids = field(default_factory=_no_ids)
    artist: int | None = None


def build_mixes(bundle: ModelBundle, query: Query, policy: Policy, day: int) -> list[Mix]:
    """Build all mixes that there are tracks for; none for a listener without history.

    Args:
        bundle: the version.
        query: what `plan_query` returns for the listener; its limit does not matter.
        policy: that it returns; it makes the list of discoveries.
        day: the days since 1970-01-01 UTC.
    """
    own = query.history.where(query.history.is_positive)
    if not len(own) or not len(bundle.items):
        return []
    return _Mixes(bundle, query, policy, day, own).build()


class _Mixes:
    """Builds one mix after the other, each without the tracks of those before it."""

    def __init__(self, bundle: ModelBundle, query: Query, policy: Policy, day: int, own: UserItemPairs) -> None:
        # A mix is about a part of the taste, so that tracks which the listener wants more of do not belong to each.
        unwanted = tuple(slider for slider in query.sliders if slider.value < 0)
        self.bundle, self.policy, self.own, self.day = bundle, policy, own, day
        self.query = query = replace(query, session=_no_ids())  # mixes are for the whole day
        self.of_a_part = replace(query, user_row=None, sliders=unwanted)
        self.weight = own.weight * (np.log1p(own.count) + 2.0 * own.liked + own.added + own.shared)
        self.rows, self.is_known = bundle.items.rows(own.track)
        self.now = query.now or day * DAY_SECONDS
        self.length = min(LENGTH, max(MIN_TRACKS, len(bundle.items) // SMALL_CATALOGUE))
        self.taken: Ids = _no_ids()
        self.mixes: list[Mix] = []

    def build(self) -> list[Mix]:
        own, age = self.own, (self.now - self.own.newest) / DAY_SECONDS
        self._add_own(ON_REPEAT, (age < RECENT_DAYS) & (own.count >= MIN_RECENT_PLAYS))
        is_loved = own.liked | own.added | own.shared | (own.count >= MIN_LOVED_PLAYS)
        self._add_own(REDISCOVER, (age > LONG_AGO_DAYS) & is_loved & self._is_of_the_day())
        if self.policy.main_source != "popular":
            self._add_new_releases()
            self._add_clusters()
            self._add_discovery()
            self._add_artists()
        return self.mixes

    def _add(self, kind: str, picks: list[Pick], seeds: Ids | None = None, artist: int | None = None) -> None:
        if len(picks) < MIN_TRACKS:
            return
        number = 1 + sum(mix.kind == kind for mix in self.mixes)
        self.mixes.append(Mix(kind, number, picks, _no_ids() if seeds is None else seeds, artist))
        self.taken = np.append(self.taken, [pick.track_id for pick in picks]).astype(np.int64)

    def _rank(self, query: Query, policy: Policy, limit: int, forbidden: Ids | None = None) -> list[Pick]:
        """Rank tracks that no mix has yet."""
        parts = [query.forbidden, self.taken, _no_ids() if forbidden is None else forbidden]
        return recommend(self.bundle, replace(query, limit=limit, forbidden=np.concatenate(parts)), policy).picks

    def _add_own(self, kind: str, selection: NDArray[np.bool_]) -> None:
        """Add a mix of tracks of the listener, those most present in their memory first."""
        query = replace(self.of_a_part, history=self.own.where(selection), exclude=_no_ids())
        self._add(kind, self._rank(query, _OWN, min(OWN_LENGTH, self.length)))

    def _add_new_releases(self) -> None:
        """Add what artists of the listener have released, and then other new tracks that suit their taste."""
        bundle, picks = self.bundle, self._rank(self.query, NEWEST, NEW_CANDIDATES)
        if not picks:
            return
        rows = bundle.items.known_rows([pick.track_id for pick in picks])
        artists = bundle.features.artist[rows]
        is_own = np.isin(artists, self._artists()) & (artists != UNKNOWN_ID)
        with bundle.workspaces.borrow() as workspace:
            scores = SCORERS["personal"](bundle, self.query, workspace, rows)
        is_wanted = is_own | ~np.isnan(scores)
        order = np.lexsort((-np.nan_to_num(scores, nan=-np.inf), ~is_own))
        best_first = [picks[index] for index in order[is_wanted[order]].tolist()]
        self._add(NEW_RELEASES, append_picks(bundle, Ranking(), best_first, NEWEST.caps, self.length).picks)

    def _add_discovery(self) -> None:
        """Add tracks by artists of whom the listener knows nothing; where there are too few, by others as well."""
        policy = replace(
            self.policy, dials=replace(self.policy.dials, familiarity=0.0, context=0.0), may_repeat=False, fill=()
        )
        query = replace(self.query, user_row=None, history=self.own.where(self._is_of_the_day()))
        query = replace(query, forbidden=np.concatenate([query.forbidden, self.query.exclude]))
        by_known_artists = self.bundle.items.ids[self.bundle.features.rows_of_artists(self._artists())[0]]
        picks = self._rank(query, policy, self.length, by_known_artists)
        if len(picks) < MIN_TRACKS:
            picks = self._rank(query, policy, self.length)
        self._add(DISCOVERY, picks)

    def _add_artists(self) -> None:
        """Add a mix about each of some artists, who take turns from day to day, the more loved ones more often."""
        artists = np.full(len(self.own), UNKNOWN_ID, np.int64)
        artists[self.is_known] = self.bundle.features.artist[self.rows[self.is_known]]
        known, number, counts = np.unique(artists, return_inverse=True, return_counts=True)
        weight = np.bincount(number, self.weight)
        is_candidate = (known != UNKNOWN_ID) & (counts >= MIN_ARTIST_TRACKS) & (weight > 0)
        top = np.flatnonzero(is_candidate)[np.argsort(-weight[is_candidate], kind="stable")[:TOP_ARTISTS]]
        keys = self._uniform(known[top]) ** (1 / weight[top])  # Efraimidis & Spirakis 2006: a sample by weight
        for artist in known[top[np.argsort(-keys, kind="stable")[:ARTISTS]]].tolist():
            is_of_artist = artists == artist
            query = replace(self.of_a_part, history=self.own.where(is_of_artist))
            self._add(BECAUSE_YOU_LOVE, self._rank(query, _BECAUSE, self.length), self._seeds(is_of_artist), artist)

    def _add_clusters(self) -> None:
        """Add a mix for each cluster of the listener's tracks, the one that counts most first.

        Half of it are tracks of the cluster, and the others are what is recommended to somebody who plays these.
        """
        best = np.flatnonzero(self.is_known)[np.argsort(-self.weight[self.is_known], kind="stable")[:MAX_CLUSTERED]]
        vectors = self.bundle.vectors(self.rows[best])
        has_vector = vectors.any(axis=1)
        best, vectors = best[has_vector], vectors[has_vector]
        if len(best) < MIN_TRACKS:
            return
        k = min(MAX_CLUSTERS, max(1, len(best) // TRACKS_PER_CLUSTER))
        label = cluster_directions(vectors, self.weight[best], k, self.query.seed)
        by_weight = np.argsort(-np.bincount(label, self.weight[best], k), kind="stable")
        is_of_the_day = self._is_of_the_day()
        for number in by_weight.tolist():
            is_of_cluster = np.zeros(len(self.own), np.bool_)
            is_of_cluster[best[label == number]] = True
            is_used = is_of_cluster & is_of_the_day
            if np.count_nonzero(is_used) < MIN_TRACKS:
                is_used = is_of_cluster
            query = replace(self.of_a_part, history=self.own.where(is_used))
            self._add(DAILY_MIX, self._rank(query, _DAILY, self.length), self._seeds(is_of_cluster))

    def _artists(self) -> Ids:
        """Return the known artists of the listener's tracks, ascending."""
        artists = self.bundle.features.artist[self.rows[self.is_known]]
        return np.asarray(np.unique(artists[artists != UNKNOWN_ID]))

    def _seeds(self, selection: NDArray[np.bool_]) -> Ids:
        indices = np.flatnonzero(selection)
        return self.own.track[indices[np.argsort(-self.weight[indices], kind="stable")[:MAX_SEEDS]]]

    def _is_of_the_day(self) -> NDArray[np.bool_]:
        """Return which of the listener's tracks speak for mixes today; all, if there are few."""
        if len(self.own) < 2 * TRACKS_PER_CLUSTER:
            return np.ones(len(self.own), np.bool_)
        return self._uniform(self.own.track) < SHARE_OF_A_DAY

    def _uniform(self, ids: Ids) -> Floats:
        """Return pseudo-random numbers by id, other ones for each listener and day."""
        return hash_to_unit_interval(ids, self.query.seed * 100_003 + self.day)


def cluster_directions(vectors: NDArray[np.float32], weight: Floats, k: int, seed: int) -> Ids:
    """Return the cluster of each vector by spherical k-means (Dhillon & Modha 2001), begun by k-means++.

    Args:
        vectors: none of them zero, (n, f).
        weight: of each vector, at least 0, (n,).
        k: the number of clusters, at most n.
        seed: of the first centres.

    Returns:
        int64 (n,), numbers below k; a cluster may be empty if there are fewer than k distinct directions.
    """
    directions = vectors.astype(np.float64)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    weight = np.maximum(weight.astype(np.float64), 1e-9)
    choose = _weighted_choice(seed)
    centres = [directions[choose(weight)]]
    distance = 1 - directions @ centres[0]
    while len(centres) < k:
        centres.append(directions[choose(weight * np.maximum(distance, 0) + 1e-12)])
        distance = np.minimum(distance, 1 - directions @ centres[-1])
    centre, label = np.array(centres), np.zeros(len(directions), np.int64)
    for number in range(ROUNDS):
        nearest = (directions @ centre.T).argmax(axis=1)
        if number and np.array_equal(nearest, label):
            break
        label = nearest
        for cluster in range(k):
            is_member = label == cluster
            total = weight[is_member] @ directions[is_member]
            if length := math.sqrt(total @ total):
                centre[cluster] = total / length
    return label


def _weighted_choice(seed: int) -> Callable[[Floats], int]:
    """Return a function that chooses an index by weights above 0, another one at each call."""
    rng = np.random.default_rng(seed % 2**63)

    def choose(weight: Floats) -> int:
        cumulated = np.cumsum(weight)
        return min(int(np.searchsorted(cumulated, rng.random() * cumulated[-1], "right")), len(weight) - 1)

    return choose
