"""Evaluate bundles as they serve: listener by listener, by the query, the policy and the pipeline of serving."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import FORBIDDEN
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal, user_stamps
from engine.data.sessions import CURRENT_PLAYS, SESSION_GAP_SECONDS, current_session
from engine.data.track_features import UNKNOWN_ID
from engine.data.user_item_pairs import UserItemPairs, binary_matrix
from engine.evaluation.evaluate import RankedLists, evaluate
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.questions import NEW, QUESTIONS, REPEATS, check_question
from engine.listener_query import COLD_BELOW, ListenerState, plan_query
from engine.pipeline import PERSONAL_SOURCES, POLICIES, Policy, recommend
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import top_k_of_rows

MOST_POPULAR = "most_popular"
TRIAL = "policy"  # the first bundle by the policy that is tried
MAX_USERS = 10_000  # a sample of this many listeners puts NDCG within about ±.003
MAX_USERS_OF_OTHER_QUESTIONS = 2_500  # of the questions that decide nothing; within about ±.006
_PROGRESS_STEP = 250  # listeners
Ids = NDArray[np.int64]
Rows = NDArray[np.int64]
_NO_IDS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Restrictions:
    """The tracks that listeners must not be offered, besides those that they dislike.

    Attributes:
        blocked: ids of the tracks that a listener blocks, int64 (k,), by listener id; a missing listener blocks none.
        unavailable: ids of the tracks that most listeners must not be offered, int64 (k,).
        unavailable_to: the same for listeners for whom others are unavailable, by listener id. Listeners with the same
            tracks should share the array.
    """

    blocked: Mapping[int, Ids] = field(default_factory=dict)
    unavailable: Ids = field(default_factory=lambda: np.zeros(0, np.int64))
    unavailable_to: Mapping[int, Ids] = field(default_factory=dict)


@dataclass(frozen=True)
class ListenerHistories:
    """What each of n listeners had done when the future began.

    Attributes:
        users: the listeners.
        pairs: a pair for each track that a listener played, skipped or had an opinion of, by listener, then track; with
            listener rows and track ids.
        starts: where the pairs of each listener start, int64 (n + 1,).
        stamps: see `user_stamps`, int64 (n, 3).
        restrictions: what they must not be offered.
        sessions: ids of the tracks of the session that a listener was in, oldest first, int64 (k,), by listener row; a
            missing listener was in none.
    """

    users: IdMap
    pairs: UserItemPairs
    starts: Rows
    stamps: NDArray[np.int64]
    restrictions: Restrictions
    sessions: Mapping[int, Ids] = field(default_factory=dict)

    @property
    def interactions(self) -> NDArray[np.int64]:
        """The number of interactions of each listener, int64 (n,)."""
        return self.stamps[:, 0]

    @classmethod
    def from_plays(cls, plays: Plays, restrictions: Restrictions, now: int = 0) -> ListenerHistories:
        """Aggregate the interactions of each listener.

        Args:
            plays: the interactions.
            restrictions: what the listeners must not be offered.
            now: UNIX second at which the future began; 0 where that is another time for each listener, so that none is
                in a session.
        """
        users = IdMap.from_ids(plays.user)
        rows, _ = users.rows(plays.user)
        pairs = UserItemPairs.merge(rows, plays.track, plays)
        starts = np.searchsorted(pairs.user, np.arange(len(users) + 1))
        return cls(users, pairs, starts, user_stamps(plays, users), restrictions, _current_sessions(plays, users, now))

    def state(self, row: int) -> ListenerState:
        """Return what decides the slate of one listener."""
        listener_id = int(self.users.ids[row])
        pairs = self.pairs.where(slice(self.starts[row], self.starts[row + 1]))
        # Sums over listeners are arrays up to the highest row of one, so that of a single listener must be 0.
        history = replace(pairs, user=np.zeros_like(pairs.user))
        interactions, newest, checksum = self.stamps[row].tolist()
        return ListenerState(
            listener_id,
            history,
            interactions,
            newest,
            self.restrictions.blocked.get(listener_id, _NO_IDS),
            self.restrictions.unavailable_to.get(listener_id, self.restrictions.unavailable),
            checksum=checksum,
            session=self.sessions.get(row, _NO_IDS),
        )

    def matrix(self, selection: NDArray[np.bool_], items: IdMap) -> sp.csr_matrix:
        """Return CSR float32 (n, items) with a 1 for each selected pair, bool (pairs,), of a track in `items`."""
        rows, is_known = items.rows(self.pairs.track)
        selection = selection & is_known
        users = self.pairs.user[selection]
        values = np.ones(len(users), np.float32)
        return sp.csr_matrix((values, (users, rows[selection])), (len(self.users), len(items)))

    def remove_refused(self, future: sp.csr_matrix, items: IdMap) -> sp.csr_matrix:
        """Return CSR bool (n, items): `future` without the tracks that must not be offered to the listener."""
        future = future.copy()
        track_ids = items.ids[future.indices]
        is_allowed = np.isin(track_ids, self.restrictions.unavailable, invert=True)
        # The tracks that are unavailable to an audience may be most of the catalogue: look each such array up once.
        audiences: dict[int, tuple[Ids, list[Rows]]] = {}
        for listener_id, unavailable in self.restrictions.unavailable_to.items():
            row = self.users.row(listener_id)
            if row is not None:
                entries_of_listener = np.arange(future.indptr[row], future.indptr[row + 1])
                audiences.setdefault(id(unavailable), (unavailable, []))[1].append(entries_of_listener)
        for unavailable, entries_of_listeners in audiences.values():
            of_audience = np.concatenate(entries_of_listeners)
            is_allowed[of_audience] = np.isin(track_ids[of_audience], unavailable, invert=True)
        for listener_id, blocked in self.restrictions.blocked.items():
            row = self.users.row(listener_id)
            if row is not None:
                entries = slice(future.indptr[row], future.indptr[row + 1])
                is_allowed[entries] &= np.isin(track_ids[entries], blocked, invert=True)
        future.data = is_allowed.astype(np.float32)
        future.eliminate_zeros()
        return sp.csr_matrix(future > self.matrix(self.pairs.disliked, items))


@dataclass(frozen=True)
class BundleRanker:
    """A `Ranker` that ranks as serving does for requests with `exclude_played`: true for `NEW`, false for `ALL`.

    `Dials.familiarity` does not count: its share of known tracks would only take positions from the new ones that `NEW`
    is about, and for `ALL` known tracks compete by their scores. `Dials.context` does not count either, because what is
    relevant was played in the next weeks, at any hour.

    Attributes:
        bundle: the version that answers; its catalogue may be an older one.
        histories: the listeners.
        items: the catalogue of the evaluation. Tracks that it lacks were deleted, and are not offered.
        question: one of `QUESTIONS`.
        cold_below: see `plan_query`.
        policy: see `plan_query`.
        policies: see `plan_query`.
        now: see `plan_query`.
    """

    bundle: ModelBundle
    histories: ListenerHistories
    items: IdMap
    question: str
    cold_below: int
    policy: Policy
    policies: Mapping[str, Policy] = field(default_factory=lambda: POLICIES)
    now: int = 0
    _unavailable: dict[int, tuple[Ids, Ids]] = field(default_factory=dict)

    def __call__(self, users: Rows, k: int, count_users: Callable[[int], None]) -> RankedLists:
        """Return lists for rows of `histories`, of rows of `items`."""
        track_ids = np.full((len(users), k), -1)
        is_personal = np.zeros(len(users), np.bool_)
        for number, user in enumerate(users):
            ranked, is_personal[number] = self._rank(self.histories.state(int(user)), k)
            track_ids[number, : len(ranked)] = ranked
            if (number + 1) % _PROGRESS_STEP == 0 or number + 1 == len(users):
                count_users(number + 1)
        rows, is_known = self.items.rows(track_ids)
        return RankedLists(np.where(is_known, rows, -1), is_personal)

    def _rank(self, listener: ListenerState, k: int) -> tuple[list[int], bool]:
        """Return the ids of at most k tracks, and whether the list is personal."""
        query, policy = plan_query(
            self.bundle,
            replace(listener, unavailable=self._add_deleted(listener.unavailable)),
            self.policy,
            limit=k,
            exclude_played=self.question == NEW,
            cold_below=self.cold_below,
            now=self.now,
            policies=self.policies,
        )
        if self.question == REPEATS and policy.name == "popular":
            return _own_tracks_by_popularity(self.bundle, query), False
        policy = replace(policy, dials=replace(policy.dials, familiarity=0.0, context=0.0))
        ranking = recommend(self.bundle, query, policy)
        return [pick.track_id for pick in ranking.picks], ranking.strategy in PERSONAL_SOURCES

    def _add_deleted(self, unavailable: Ids) -> Ids:
        """Return the ids and those of deleted tracks: the same array for the same array, see `Query.unavailable`."""
        if id(unavailable) not in self._unavailable:
            deleted = np.setdiff1d(self.bundle.items.ids, self.items.ids, assume_unique=True)
            both = np.union1d(unavailable, deleted) if len(deleted) else unavailable
            self._unavailable[id(unavailable)] = unavailable, both  # the key stays unique while its array is kept
        return self._unavailable[id(unavailable)][1]


def evaluate_bundles(
    bundles: Mapping[str, ModelBundle],
    past: Plays,
    future: Plays,
    items: IdMap,
    *,
    question: str = NEW,
    ks: Sequence[int] = (5, 10, 20),
    seed: int = 0,
    max_users: int | None = MAX_USERS,
    cold_below: int = COLD_BELOW,
    restrictions: Restrictions | None = None,
    policies: Mapping[str, Policy] = POLICIES,
    trial: Policy | None = None,
    now: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Evaluate bundles, and most popular, on what listeners played in the future, for each of the `QUESTIONS`.

    Every list is made as serving makes it, see `engine.listener_query.plan_query`: short lists are filled, cold
    listeners get their own policies, and skipped, disliked, blocked and unavailable tracks are left out. A bundle that
    was not trained on exactly the past of a listener folds it in. The whole catalogue is ranked. Policies are judged
    without their share of known tracks, see `BundleRanker`.

    Evaluated are listeners with a past and something relevant in the future, or a seeded sample of them. Listeners
    without any past would get the same popular tracks from all bundles. A track that a listener must not be offered is
    not relevant to them either.

    Args:
        bundles: by name, such as "model" and "in_service"; the first is compared with the others. Each must have been
            trained without the future, and may have another catalogue.
        past: all interactions until the future begins, of all listeners.
        future: the plays that were held out.
        items: the current catalogue.
        question: the one that decides; for the others, at most MAX_USERS_OF_OTHER_QUESTIONS listeners are evaluated.
        ks: cut-offs, at least 1.
        seed: of the samples.
        max_users: evaluate at most this many listeners; None for all, whatever the question.
        cold_below: listeners with fewer interactions are cold.
        restrictions: tracks that must not be offered; none by default.
        policies: the policies in use by name.
        trial: a policy that is tried with the first bundle, in place of the one with its name in `policies`; one with
            another name in place of "personal".
        now: UNIX second at which the lists are asked for: when the future begins; 0 where it begins at another time for
            each listener. Without it there are no new releases, and no repeat is too early.
        progress: called with the rankings done and their total.

    Returns:
        `{"question": question, "questions": {"new": …, "all": …, "repeats": …}}` with a report of `evaluate` for each;
        read it by `engine.evaluation.questions.question_report`. Its models are the bundles, "policy" if one is tried,
        and "most_popular", the policy "popular" over the first bundle. For "repeats" that ranks the listener's own
        tracks by popularity.

    Raises:
        ValueError: a cut-off is below 1, there is none, or the question is unknown.
    """
    check_question(question)
    histories = ListenerHistories.from_plays(past, restrictions or Restrictions(), now)
    pairs, shape = histories.pairs, (len(histories.users), len(items))
    played = histories.matrix(pairs.is_positive, items)
    known = histories.matrix(pairs.is_positive | pairs.is_negative, items)
    future_pairs = UserItemPairs.from_plays(future, histories.users, items)
    relevant = histories.remove_refused(binary_matrix(future_pairs, shape), items)
    samples = {name: max_users and min(max_users, MAX_USERS_OF_OTHER_QUESTIONS) for name in QUESTIONS}
    samples[question] = max_users
    truths = {
        name: GroundTruth.from_matrices(played, relevant, sample, seed, name, known) for name, sample in samples.items()
    }
    baseline = next(iter(bundles.values()))
    artist = _artists(baseline, items)
    truths = {name: replace(truth, artist=artist) for name, truth in truths.items()}
    columns = len(bundles) + 1 + (trial is not None)
    rankings = [len(truth.users) * columns for truth in truths.values()]
    reports = {}
    for number, (name, truth) in enumerate(truths.items()):
        role = "repeats" if name == REPEATS else "personal"
        shared = (histories, items, name, cold_below)
        rankers = {
            model: BundleRanker(bundle, *shared, policies[role], policies, now) for model, bundle in bundles.items()
        }
        if trial is not None:
            replaced = trial.name if trial.name in policies else "personal"
            tried = {**policies, replaced: trial}
            rankers[TRIAL] = BundleRanker(baseline, *shared, tried[role], tried, now)
        rankers[MOST_POPULAR] = BundleRanker(baseline, *shared, policies["popular"], policies, now)

        def count_rankings(done: int, total: int, previous: int = sum(rankings[:number])) -> None:
            progress(previous + done, sum(rankings))

        reports[name] = evaluate(
            truth,
            rankers,
            histories.interactions[truth.users] < cold_below,
            ks=ks,
            seed=seed,
            progress=count_rankings,
        )
    return {"question": question, "questions": reports}


def _current_sessions(plays: Plays, users: IdMap, now: int) -> dict[int, Ids]:
    """Return the tracks of the session that each listener is in, as serving reads them, by listener row."""
    is_recent = (plays.time > now - CURRENT_PLAYS * SESSION_GAP_SECONDS) & (plays.time <= now)
    recent = plays.where(is_recent & (plays.signal == Signal.PLAY) & (plays.count == 1))
    recent = recent.where(np.argsort(recent.time, kind="stable")[::-1])  # of the same second, the later row is newer
    plays_of_users: dict[int, list[tuple[int, int, bool]]] = {}
    columns = (recent.user, recent.track, recent.time, recent.shuffled)
    for user, *play in zip(*(column.tolist() for column in columns), strict=True):
        plays_of_users.setdefault(user, []).append(tuple(play))
    sessions = {user: current_session(played[:CURRENT_PLAYS], now) for user, played in plays_of_users.items()}
    rows, _ = users.rows([*sessions])
    return {
        row: np.array(track_ids, np.int64)
        for row, track_ids in zip(rows.tolist(), sessions.values(), strict=True)
        if track_ids
    }


def _artists(bundle: ModelBundle, items: IdMap) -> Ids | None:
    """Return the artist of each track of the catalogue, int64 (items,); None if the bundle knows none."""
    rows, is_known = bundle.items.rows(items.ids)
    artist = np.full(len(items), UNKNOWN_ID, np.int64)
    artist[is_known] = bundle.features.artist[rows[is_known]]
    return artist if (artist != UNKNOWN_ID).any() else None


def _own_tracks_by_popularity(bundle: ModelBundle, query: Query) -> list[int]:
    """Return the ids of the most popular tracks that the listener played, at most `query.limit`."""
    with bundle.workspaces.borrow() as workspace:
        workspace.mask = bundle.workspaces.mask(query.unavailable)
        workspace.exclude(bundle.items.known_rows(query.forbidden), FORBIDDEN)
        pairs = bundle.known_pairs(query.history)
        rows = pairs.track[pairs.is_positive]
        rows = rows[workspace.available(rows)]
    best, _ = top_k_of_rows(rows, bundle.popularity[rows].astype(np.float64), query.limit)
    return [int(track_id) for track_id in bundle.items.ids[best]]
