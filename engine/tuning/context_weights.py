"""Learn how much the context counts: re-rank what listeners would have got when their later sessions began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import EXCLUDED
from engine.data.play_contexts import CONTEXT_KINDS, UNKNOWN_CONTEXT, PlayContexts
from engine.data.plays import Plays, Signal
from engine.data.sessions import SESSION_GAP_SECONDS
from engine.data.user_item_pairs import UserItemPairs
from engine.evaluation.metrics import MetricFunction, ndcg
from engine.evaluation.questions import NEW
from engine.listener_query import COLD_BELOW, ListenerState, plan_query
from engine.models.listening_context import ContextModel, fit_context_model
from engine.ranking.context import context_directions, unit_vectors
from engine.retrieval.candidates import SOURCES, Query
from engine.retrieval.exact_search import TopK

WEIGHTS = (0.5, 1.0, 2.0, 4.0, 8.0)
REQUIRED_ERRORS = 2.0  # by so many standard errors a kind of context must improve NDCG
MIN_LISTENERS = 50  # with fewer, the best of several weights is the luckiest
MAX_LISTENERS = 1_000
SESSIONS_PER_LISTENER = 3
CUTOFF, RANKS, CANDIDATES = 10, 20, 200
NO_CONTEXT = (UNKNOWN_CONTEXT, UNKNOWN_CONTEXT)
Floats = NDArray[np.float64]


class SessionCase(NamedTuple):
    """A session that began after the training, and the k candidates for it.

    Attributes:
        listener: their id.
        query: what serving would have been asked when it began.
        rows: the candidates, int64 (k,).
        relevance: 1 for the best to 0 for the last, float64 (k,).
        is_relevant: whether the track was played in the session, bool (k,).
        relevant_count: how many such tracks there are, candidates or not.
    """

    listener: int
    query: Query
    rows: NDArray[np.int64]
    relevance: Floats
    is_relevant: NDArray[np.bool_]
    relevant_count: int


@dataclass(frozen=True)
class ContextChoice:
    """The weights by kind of context, without those that do not help, and a report, ready for JSON."""

    weights: Mapping[str, float]
    report: dict[str, Any]


def learn_context_weights(
    bundle: ModelBundle,
    plays: Plays,
    begin: int,
    contexts: PlayContexts,
    *,
    question: str = NEW,
    cold_below: int = COLD_BELOW,
    seed: int = 2009,
) -> ContextChoice:
    """Choose a weight for each kind of context, or none unless it clearly improves NDCG@10.

    Args:
        bundle: a model that was fitted on the plays before `begin`.
        plays: all plays.
        begin: UNIX second.
        contexts: of all plays whose device or activity is known.
        question: `NEW` if only tracks count that the listener had not played before the session.
        cold_below: listeners with fewer interactions before a session do not count.
        seed: of the sample of listeners.
    """
    model = fit_context_model(
        unit_vectors(bundle, np.arange(len(bundle.items))),
        bundle.items,
        plays.where(plays.time < begin),
        contexts.where(contexts.time < begin),
        {},
    )
    cases = list(session_cases(bundle, plays, begin, contexts, question=question, cold_below=cold_below, seed=seed))
    listeners = len({case.listener for case in cases})
    report: dict[str, Any] = {"question": question, "listeners": listeners, "sessions": len(cases)}
    if listeners < MIN_LISTENERS:
        return ContextChoice({}, report | {"kinds": {}, "skipped": f"needs {MIN_LISTENERS} listeners with sessions"})
    opinions = [case_opinions(bundle, model, case) for case in cases]
    weights: dict[str, float] = {}
    kinds = {}
    for kind in CONTEXT_KINDS:
        before = listener_means(cases, rank_cases(cases, opinions, weights))
        tried = {w: listener_means(cases, rank_cases(cases, opinions, weights | {kind: w})) - before for w in WEIGHTS}
        weight, gains = max(tried.items(), key=lambda item: float(item[1].mean()))
        gain, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
        helps = gain > 0 and gain > REQUIRED_ERRORS * error
        if helps:
            weights[kind] = weight
        kinds[kind] = {"weight": weight if helps else 0.0, "tried": weight, "gain": gain, "standard_error": error}
    return ContextChoice(weights, report | {"kinds": kinds, "skipped": None})


def session_cases(
    bundle: ModelBundle,
    plays: Plays,
    begin: int,
    contexts: PlayContexts,
    *,
    end: int | None = None,
    question: str = NEW,
    cold_below: int = COLD_BELOW,
    seed: int = 2009,
) -> Iterator[SessionCase]:
    """Yield the first sessions of a sample of listeners that begin between `begin` and `end`, with their candidates.

    Sessions are left out that have no relevant track of the version, and those of cold listeners. What a listener
    played between `begin` and the session is part of their history. Args: see `learn_context_weights`.
    """
    plays = plays.where((plays.signal == Signal.PLAY) & (plays.count == 1))
    plays = plays.where(np.lexsort((plays.time, plays.user)))
    starts = np.ones(len(plays), np.bool_)
    starts[1:] = (np.diff(plays.user) != 0) | (np.diff(plays.time) > SESSION_GAP_SECONDS)
    first = np.flatnonzero(starts)
    last = np.append(first[1:], len(plays))
    is_later = (plays.time[first] >= begin) & (end is None or plays.time[first] < end)
    listeners = np.unique(plays.user[first[is_later]])
    if len(listeners) > MAX_LISTENERS:
        listeners = np.random.default_rng(seed).choice(listeners, MAX_LISTENERS, replace=False)
    is_later &= np.isin(plays.user[first], listeners)
    known_contexts = _contexts_by_play(contexts.where(contexts.time >= begin))
    counts: dict[int, int] = {}
    for a, b in zip(first[is_later].tolist(), last[is_later].tolist(), strict=True):
        listener, now = int(plays.user[a]), int(plays.time[a])
        history = plays.where(slice(int(np.searchsorted(plays.user, listener)), a))
        if len(history) < cold_below or counts.get(listener, 0) == SESSIONS_PER_LISTENER:
            continue
        pairs = UserItemPairs.from_listener(history)
        relevant = bundle.items.known_rows(np.unique(plays.track[a:b]))
        relevant = relevant[bundle.popularity[relevant] > 0]
        if question == NEW:
            relevant = np.setdiff1d(relevant, bundle.items.known_rows(pairs.track))
        if not len(relevant):
            continue
        counts[listener] = counts.get(listener, 0) + 1
        state = ListenerState(listener, pairs, len(history), int(history.time[-1]))
        device, activity = known_contexts.get((listener, int(plays.track[a]), now), NO_CONTEXT)
        query, _ = plan_query(
            bundle,
            state,
            limit=CUTOFF,
            exclude_played=question == NEW,
            cold_below=cold_below,
            now=now,
            device=device,
            activity=activity,
        )
        rows, scores = _candidates(bundle, query)
        if len(rows):
            span = float(scores[0] - scores[-1])
            relevance = (scores - scores[-1]) / span if span > 0 else np.ones(len(rows))
            yield SessionCase(listener, query, rows, relevance, np.isin(rows, relevant), len(relevant))


def _contexts_by_play(contexts: PlayContexts) -> dict[tuple[int, int, int], tuple[int, int]]:
    """Return the codes of device and activity by listener, track and time of a play."""
    plays = zip(contexts.user.tolist(), contexts.track.tolist(), contexts.time.tolist(), strict=True)
    return dict(zip(plays, zip(contexts.device.tolist(), contexts.activity.tolist(), strict=True), strict=True))


def _candidates(bundle: ModelBundle, query: Query) -> TopK:
    """Return the best candidates of the source "personal"."""
    with bundle.workspaces.borrow() as workspace:
        workspace.exclude(bundle.items.known_rows(query.exclude), EXCLUDED)
        return SOURCES["personal"](bundle, query, workspace, CANDIDATES)


def case_opinions(bundle: ModelBundle, model: ContextModel, case: SessionCase) -> dict[str, Floats]:
    """Return what each kind of context adds to the candidates of a session with the weight 1, float64 (k,)."""
    vectors = unit_vectors(bundle, case.rows)
    directions = context_directions(bundle, case.query, model)
    return {kind: np.asarray(vectors @ direction, np.float64) for kind, direction in directions.items()}


def rank_cases(
    cases: Sequence[SessionCase], opinions: Sequence[Mapping[str, Floats]], weights: Mapping[str, float]
) -> NDArray[np.bool_]:
    """Return whether the track at each rank is relevant: bool (sessions, RANKS)."""
    hits = np.zeros((len(cases), RANKS), np.bool_)
    for row, case, opinion in zip(hits, cases, opinions, strict=True):
        values = case.relevance + sum(weight * opinion[kind] for kind, weight in weights.items())
        best = np.argsort(-values, kind="stable")[:RANKS]
        row[: len(best)] = case.is_relevant[best]
    return hits


def listener_means(cases: Sequence[SessionCase], hits: NDArray[np.bool_], metric: MetricFunction = ndcg) -> Floats:
    """Return the mean of a metric over the sessions of each listener, float64 (listeners,), in the order of their ids.

    Args:
        hits: bool (sessions, RANKS).
        metric: NDCG@10; of the others, the value at RANKS.
    """
    cutoff = CUTOFF if metric is ndcg else RANKS
    values = metric(hits, np.array([case.relevant_count for case in cases]), [cutoff])[:, 0]
    _, rows = np.unique([case.listener for case in cases], return_inverse=True)
    return np.asarray(np.bincount(rows, values) / np.bincount(rows))
