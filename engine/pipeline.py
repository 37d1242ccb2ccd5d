"""Build the slate for one query in two stages, driven by a policy.

1. Gathering: every candidate source of the policy proposes tracks. All of them get one score, that of the main source,
   whoever proposed them.
2. Ranking: relevance and the dials make the value of each candidate, which are ordered by value and variety and then
   placed one after the other, so that caps, gaps and shares hold.

The public API of serving:

- `recommend(bundle, query, policy)` returns a `Ranking`: its `picks`, best first, whether they are repeats, and what
  could not be kept.
- `Query` (`engine.retrieval.candidates`) holds the listener's history, the tracks to leave out and the length of the
  slate.
- `Policy` (`engine.policy`) holds the candidate sources with their weights, the dials and the caps. `POLICIES` holds
  the policies that are built in by name; `register_policy` adds one.
- `SOURCES` (`engine.retrieval.candidates`) holds the candidate sources by name. A `Pick` carries the name of its
  source; store names, never positions in a registry.

Everything is a pure function of its arguments: no clock, no files, no global state beside the registries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import EXCLUDED, FORBIDDEN, TAKEN, SearchWorkspace
from engine.data.confidence import HOUR_SECONDS
from engine.data.track_features import UNKNOWN_ID
from engine.policy import MAX_CANDIDATES, NO_CAPS, Caps, Dials, Policy
from engine.ranking.candidate_pool import CandidatePool, gather_candidates
from engine.ranking.objectives import OBJECTIVES, weigh_objectives
from engine.ranking.picks import Pick, Ranking
from engine.ranking.placement import Candidate, SlatePlacer
from engine.ranking.variety import order_by_variety
from engine.retrieval.candidates import SOURCES, Query
from engine.retrieval.early import listener_blends
from engine.retrieval.exact_search import TopK
from engine.retrieval.group import member_opinions
from engine.trace import FilteredCandidate, RankedCandidate, SourceTrace, Trace

__all__ = [
    "EARLY",
    "GROUP",
    "NO_CAPS",
    "PERSONAL",
    "PERSONAL_SOURCES",
    "POLICIES",
    "POPULAR",
    "RADIO",
    "REPEATS",
    "SIMILAR",
    "Caps",
    "Dials",
    "Pick",
    "Policy",
    "Ranking",
    "Trace",
    "append_picks",
    "check_sources",
    "open_workspace",
    "recommend",
    "register_policy",
]

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
NO_ROWS: Rows = np.zeros(0, np.int64)
PERSONAL_SOURCES = ("personal", "early", "neighbours", "content", "repeat", "session")
"""The sources that depend on what the listener has done."""
POLICIES: dict[str, Policy] = {}


def register_policy(policy: Policy) -> Policy:
    """Add a policy to `POLICIES` and return it.

    Raises:
        ValueError: the name is taken, or a source is not registered.
    """
    if policy.name in POLICIES:
        raise ValueError(f"policy {policy.name!r} is already registered")
    check_sources(policy)
    POLICIES[policy.name] = policy
    return policy


def check_sources(policy: Policy) -> None:
    """Check that every candidate source that a policy names is registered.

    Raises:
        ValueError: one is not; the message begins with the field.
    """
    for field, names in (("sources", policy.sources), ("fill", policy.fill)):
        if unknown := [name for name in names if name not in SOURCES]:
            raise ValueError(f"{field}: there is no candidate source {unknown[0]!r}; use one of {', '.join(SOURCES)}")


_FILL = ("popular", "random")
SESSION_WEIGHT = 5.0  # chosen on validation sessions; the source has candidates in a session only
# The dials, the head and the caps of listeners with a short history were chosen on validation plays, see
# docs/explanation/ranking.md.
PERSONAL = register_policy(
    Policy(
        "personal",
        # Only candidates that "personal" finds as relevant as its own compete with these, see `CandidatePool`.
        {
            "personal": 1.0,
            "neighbours": 0.0,
            "content": 0.0,
            "session": SESSION_WEIGHT,
            "popular": 0.0,
            "trending": 0.0,
            "new_releases": 0.0,
        },
        head=8,
        fill=_FILL,
        dials=Dials(familiarity=0.2, diversity=0.4, novelty=0.6),
    )
)
EARLY = register_policy(
    Policy("early", {"early": 1.0, "content": 0.0, "session": SESSION_WEIGHT}, fill=_FILL, caps=Caps(per_artist=4))
)
POPULAR = register_policy(Policy("popular", {"popular": 1.0}, fill=("random",)))
SIMILAR = register_policy(Policy("similar", {"similar": 1.0}, may_repeat=False))
REPEATS = register_policy(
    Policy(
        "repeats",
        {"repeat": 1.0},
        may_repeat=False,
        offers_known=True,
        dials=Dials(repeat_after_hours=0.0),
        caps=NO_CAPS,
    )
)
RADIO = register_policy(Policy("radio", {"radio": 1.0}, fill=("popular",), may_repeat=False, caps=Caps(per_artist=3)))
"""How radios rank. Their modes take the place of dials, but dials act, too, apart from those about a history."""
GROUP = Policy("group", {"group": 1.0}, fill=_FILL)
"""How slates for several listeners rank; serving gives it the dials and the caps of the policy for one listener."""


def recommend(bundle: ModelBundle, query: Query, policy: Policy, trace: Trace | None = None) -> Ranking:
    """Rank the tracks of a bundle for one query.

    A shorter slate is the beginning of a longer one. The ranking is empty only if every track is forbidden, or if no
    source of the policy has a candidate.

    Args:
        trace: is filled with how the ranking came about.
    """
    if query.now and policy.dials.repeat_after_hours:
        query = replace(query, repeat_before=query.now - int(policy.dials.repeat_after_hours * HOUR_SECONDS))
    with open_workspace(bundle, query, policy) as workspace:
        run = _Run(bundle, query, policy, workspace, trace)
        repeats = run.rank_repeats() if policy.dials.familiarity else []
        workspace.exclude(_find_rows(bundle, policy, query.exclude), EXCLUDED)
        placed, relaxed_at = run.place(repeats)
        is_excluded = [bool(workspace.flags[candidate.row] & EXCLUDED) for candidate in placed]
        lacks_new = all(is_excluded) and (len(placed) < query.limit or "familiarity" in relaxed_at)
        if offers_excluded := policy.may_repeat and lacks_new:
            workspace.readmit(EXCLUDED)
            workspace.readmit(TAKEN)
            placed, relaxed_at = run.place(repeats)
        blends = listener_blends(query, workspace)
        picks = [candidate.make_pick() for candidate in placed]
        opinions = member_opinions(bundle, query, workspace, [pick.track_id for pick in picks])
    if trace is not None:
        trace.after = picks
    return Ranking(picks, offers_excluded and bool(picks), relaxed_at, blends, opinions)


@contextmanager
def open_workspace(bundle: ModelBundle, query: Query, policy: Policy) -> Iterator[SearchWorkspace]:
    """Yield a workspace that leaves out what a query forbids, and the tracks of its session."""
    with bundle.workspaces.borrow() as workspace:
        workspace.mask = bundle.workspaces.mask(query.unavailable, query.only)
        workspace.exclude(_find_rows(bundle, policy, query.forbidden), FORBIDDEN)
        workspace.exclude(bundle.items.known_rows(query.gone), FORBIDDEN)
        workspace.exclude(_find_rows(bundle, policy, query.session), EXCLUDED)  # from the repeats as well
        yield workspace


def _find_rows(bundle: ModelBundle, policy: Policy, track_ids: Rows) -> Rows:
    """Return the rows of the known ones of some tracks, with those of the same recordings if the policy merges them."""
    rows = bundle.items.known_rows(track_ids)
    return bundle.track_statistics.add_recordings(rows) if policy.caps.merge_recordings else rows


def append_picks(
    bundle: ModelBundle, ranking: Ranking, more: Sequence[Pick], caps: Caps, limit: int, before: Rows = NO_ROWS
) -> Ranking:
    """Fill the positions that a ranking leaves empty with further picks, in their order as far as caps and gaps allow.

    Tracks that the bundle does not know are taken for tracks of unknown artists.

    Args:
        more: picks that are not in the ranking.
        limit: the length of the slate.
        before: ids of the tracks on the earlier pages of the slate, int64 (k,), see `Query.before`.
    """
    batches = iter([_candidates_of(bundle, more)])
    placer = SlatePlacer(caps, batches, artists_before=_artists_before(bundle, before, caps))
    for candidate in _candidates_of(bundle, ranking.picks):
        placer.occupy(candidate)
    placed = placer.place(limit - len(ranking.picks))
    picks = [*ranking.picks, *(candidate.make_pick() for candidate in placed)]
    return replace(ranking, picks=picks, relaxed_at={**placer.relaxed_at, **ranking.relaxed_at})


def _candidates_of(bundle: ModelBundle, picks: Sequence[Pick]) -> list[Candidate]:
    rows, is_known_track = bundle.items.rows([pick.track_id for pick in picks])
    features = bundle.features
    return [
        Candidate(row, int(features.artist[row]), int(features.recording[row]), False, False, 0.0, partial(_same, pick))
        if is_known
        else Candidate(-1, UNKNOWN_ID, UNKNOWN_ID, False, False, 0.0, partial(_same, pick))
        for row, is_known, pick in zip(rows.tolist(), is_known_track.tolist(), picks, strict=True)
    ]


def _artists_before(bundle: ModelBundle, track_ids: Rows, caps: Caps) -> list[int]:
    """Return the artists of the last of some tracks, as many as caps and gaps look back; -1 for unknown tracks."""
    rows, is_known = bundle.items.rows(track_ids[-max(caps.window, caps.artist_gap) :])
    artists = np.full(len(rows), UNKNOWN_ID, np.int64)
    artists[is_known] = bundle.features.artist[rows[is_known]]
    return artists.tolist()


def _same(pick: Pick) -> Pick:
    return pick


@dataclass(frozen=True)
class _Run:
    """The two stages for one query."""

    bundle: ModelBundle
    query: Query
    policy: Policy
    workspace: SearchWorkspace
    trace: Trace | None

    def rank_repeats(self) -> list[Candidate]:
        """Return the tracks that the listener knows and may hear again, best first."""
        pool = self._gather({"repeat": 1.0}, self.policy.candidates)
        return list(self._rank(pool, pool.merit))

    def place(self, repeats: Sequence[Candidate]) -> tuple[list[Candidate], dict[str, int]]:
        """Return the candidates of the slate in order, and what was relaxed at which position first."""
        policy, trace = self.policy, self.trace
        sources = policy.sources
        if any(slider.value > 0 for slider in self.query.sliders):
            sources = {**sources, "sliders": sources.get("sliders", 0.0)}  # proposes only, unless the policy says more
        pool = self._gather(sources, policy.candidates)
        started = self._seconds()
        opinions = {name: row for name, row in zip(pool.sources, pool.opinions, strict=True) if row.any()}
        objectives = weigh_objectives(self.bundle, self.query, pool.rows, policy.dials)
        may_move = pool.is_scored & pool.is_relevant
        objectives = {name: np.where(may_move, values, 0.0) for name, values in objectives.items()}
        wishes = {"slider": pool.wishes} if self.query.sliders else {}
        context = {"context": pool.context} if pool.context.any() else {}
        parts = {"relevance": pool.relevance, **opinions, **wishes, **context, **objectives}
        values = np.sum(list(parts.values()), axis=0)
        artists_before = _artists_before(self.bundle, self.query.before, policy.caps)
        head = self._head(pool, artists_before)
        new_artists: list[Candidate] = []
        if policy.caps.new_artist_share:
            new_artists = self._rank_new_artists(pool, values)
        scored = self._seconds()
        placer = SlatePlacer(
            policy.caps,
            self._batches(self._rank(pool, values, policy.dials.diversity, head), self._rank_irrelevant(pool)),
            patience=3 + len(policy.fill),
            repeats=list(repeats),
            # Who knows nothing that may be repeated now would not miss it: then there is no share to fall short of.
            familiarity=policy.dials.familiarity if repeats else 0.0,
            new_artists=new_artists,
            artists_before=artists_before,
            positions_before=len(self.query.before),
        )
        placed = placer.place(self.query.limit)
        if trace is not None:
            trace.seconds |= {"score": scored - started, "place": self._seconds() - scored}
            self._trace_pool(trace, pool, parts, head)
            trace.relaxed, trace.new_artist_cost = placer.relaxed_at, placer.new_artist_cost
        return placed, placer.relaxed_at

    def _head(self, pool: CandidatePool, artists_before: Sequence[int]) -> Rows:
        """Return the candidates for the first positions: those of most merit, as many of an artist as the cap allows.

        Without the cap, dials would choose the tracks that take the place of those that it defers. A request that asks
        for diversity gets it here, too.
        """
        head, cap = self.policy.head, self.policy.caps.per_artist
        if not head:
            return NO_ROWS
        relevant = np.flatnonzero(pool.is_relevant)
        rows, merit = pool.rows[relevant], pool.merit[relevant]
        counts = Counter(artists_before)
        chosen: list[int] = []
        artists = self.bundle.features.artist[rows].tolist()
        diversity, before = self.query.head_diversity, self._rows_before()
        for index in order_by_variety(self.bundle, rows, merit, diversity, NO_ROWS, 2 * head, before):
            if len(chosen) == head:
                break
            artist = artists[index]
            if not cap or artist == UNKNOWN_ID or counts[artist] < cap:
                counts[artist] += 1
                chosen.append(index)
        return relevant[chosen]

    def _gather(self, sources: Mapping[str, float], k: int) -> CandidatePool:
        """Ask sources for k candidates each, score them all, and let no later source propose them again."""
        proposals = {name: self._ask(name, k, weight) for name, weight in sources.items()}
        started = self._seconds()
        pool = gather_candidates(self.bundle, self.query, self.workspace, proposals, sources, self.policy.dials.context)
        self.workspace.exclude(pool.rows[pool.is_relevant], TAKEN)
        if self.trace is not None:
            merged = self._seconds() - started
            self.trace.seconds["gather"] = self.trace.seconds.get("gather", 0.0) + merged
        return pool

    def _batches(self, first: Iterator[Candidate], irrelevant: Iterator[Candidate]) -> Iterator[Iterator[Candidate]]:
        """Yield the ranked pool, then more of the main source and of each one that fills, in turns, twice as many.

        The irrelevant candidates of the pool follow when the main source has been asked for more.
        """
        yield first
        names, k = (self.policy.main_source, *self.policy.fill), self.policy.candidates
        is_first_turn = True
        while names:
            has_more = []
            for name in names:
                pool = self._gather({name: 1.0}, k)
                yield self._rank(pool, pool.merit)
                if is_first_turn:
                    is_first_turn = False
                    yield irrelevant
                if len(pool.rows):
                    has_more.append(name)
            names, k = tuple(has_more), min(2 * k, MAX_CANDIDATES)

    def _rank(
        self, pool: CandidatePool, values: Floats, diversity: float = 0.0, head: Rows = NO_ROWS
    ) -> Iterator[Candidate]:
        """Yield the relevant candidates of a pool in the order for placing, those of the head first."""
        make_candidate = self._candidate_maker(pool, values)
        first = self.query.limit * 3 // 2  # of these, caps leave enough for most slates
        relevant = np.flatnonzero(pool.is_relevant)
        head = np.searchsorted(relevant, head)
        rows, values, before = pool.rows[relevant], values[relevant], self._rows_before()
        for index in order_by_variety(self.bundle, rows, values, diversity, head, first, before):
            yield make_candidate(int(relevant[index]))

    def _rows_before(self) -> Rows:
        """Return the last tracks of the earlier pages, as many as a cap looks back: variety looks back as far."""
        return self.bundle.items.known_rows(self.query.before[-self.policy.caps.window :])

    def _rank_irrelevant(self, pool: CandidatePool) -> Iterator[Candidate]:
        """Yield the other candidates of a pool, best first; variety must not lift them either."""
        others = np.flatnonzero(~pool.is_relevant)
        if len(others):
            make_candidate = self._candidate_maker(pool, pool.merit)
            yield from map(make_candidate, others[np.argsort(-pool.merit[others], kind="stable")].tolist())

    def _rank_new_artists(self, pool: CandidatePool, values: Floats) -> list[Candidate]:
        """Return the candidates by artists whom hardly anybody has heard, best first."""
        indices = np.flatnonzero(self.bundle.track_statistics.is_of_new_artist[pool.rows])
        best_first = indices[np.argsort(-values[indices], kind="stable")]
        return list(map(self._candidate_maker(pool, values), best_first.tolist()))

    def _candidate_maker(self, pool: CandidatePool, values: Floats) -> Callable[[int], Candidate]:
        """Return a function that makes the candidate with an index in the pool: few of them are ever looked at."""
        bundle, rows = self.bundle, pool.rows
        is_known, is_of_new_artist = np.zeros((2, len(rows)), np.bool_)
        if self.policy.dials.familiarity:
            history = self.query.history
            is_known = np.isin(bundle.items.ids[rows], history.track[history.is_positive])
        if self.policy.caps.new_artist_share:
            is_of_new_artist = bundle.track_statistics.is_of_new_artist[rows]
        artist, recording = bundle.features.artist[rows], bundle.features.recording[rows]
        arrays = (rows, artist, recording, is_known, is_of_new_artist, values)
        row, artists, recordings, known, new, value = (array.tolist() for array in arrays)

        def make_candidate(index: int) -> Candidate:
            return Candidate(
                row[index],
                artists[index],
                recordings[index],
                known[index],
                new[index],
                value[index],
                partial(pool.pick, index, bundle),
            )

        return make_candidate

    def _ask(self, source: str, k: int, weight: float) -> TopK:
        """Return the k best available tracks of a source."""
        trace, bundle = self.trace, self.bundle
        started = self._seconds()
        rows, scores = SOURCES[source](bundle, self.query, self.workspace, k)
        if trace is not None:
            seconds = self._seconds() - started
            track_ids = bundle.items.ids[rows].tolist()
            trace.sources.append(SourceTrace(source, weight, track_ids, np.round(scores, 6).tolist(), seconds))
            trace.seconds["gather"] = trace.seconds.get("gather", 0.0) + seconds
            self._trace_filtered(trace, source, k)
        return rows, scores

    def _seconds(self) -> float:
        return 0.0 if self.trace is None else self.trace.timer()

    def _trace_filtered(self, trace: Trace, source: str, k: int) -> None:
        """Ask a source once more without any filter, and note what it would have proposed."""
        query, workspace, ids = self.query, self.workspace, self.bundle.items.ids
        with self.bundle.workspaces.borrow() as unfiltered:
            rows, _ = SOURCES[source](self.bundle, replace(query, repeat_before=0), unfiltered, k)
        flags = workspace.flags[rows]
        mask = np.zeros(len(ids), np.bool_) if workspace.mask is None else workspace.mask.excluded
        known = np.isin(ids[rows], query.exclude) | np.isin(ids[rows], query.session)
        forbidden = np.isin(ids[rows], query.forbidden)
        reasons = np.select(
            [
                mask[rows] | np.isin(ids[rows], query.gone),
                forbidden,
                (flags & EXCLUDED > 0) & known,
                flags & (FORBIDDEN | EXCLUDED) > 0,
            ],
            ["unavailable", "forbidden", "known", "recording"],
            "just_played" if source == "repeat" else "",
        )
        proposed = set(trace.sources[-1].track_ids)
        trace.filtered += [
            FilteredCandidate(track_id, source, reason)
            for track_id, reason in zip(ids[rows].tolist(), reasons.tolist(), strict=True)
            if reason and track_id not in proposed
        ]

    def _trace_pool(self, trace: Trace, pool: CandidatePool, parts: Mapping[str, Floats], head: Rows) -> None:
        """Note the value of each candidate, for the head without dials, and the slate by relevance alone."""
        picks = [pool.pick(index, self.bundle) for index in range(len(pool.rows))]
        counted = {name: part.copy() if name in OBJECTIVES else part for name, part in parts.items()}
        for name in OBJECTIVES.keys() & counted.keys():
            counted[name][head] = 0.0
        values = np.sum(list(counted.values()), axis=0)
        below = np.setdiff1d(np.arange(len(values)), head)
        trace.candidates = [
            RankedCandidate(
                picks[index].track_id,
                picks[index].sources,
                float(values[index]),
                {name: float(part[index]) for name, part in counted.items()},
            )
            for index in (*head.tolist(), *below[np.argsort(-values[below], kind="stable")].tolist())
        ]
        by_relevance = np.argsort(-pool.relevance, kind="stable")[: self.query.limit].tolist()
        trace.before = [picks[index] for index in by_relevance]
