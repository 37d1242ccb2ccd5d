"""Evaluate what a version says is played next: its sequence model beside simple ones, and the slates in a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.sessions import CURRENT_PLAYS, Sessions
from engine.evaluation.bootstrap import draw_resamples, statistic_intervals
from engine.evaluation.bundles import ListenerHistories, Restrictions
from engine.evaluation.next_track import NextTrackRanks, PrefixScorer, baselines, rank_next_tracks
from engine.listener_query import COLD_BELOW, plan_query
from engine.models.sequences.base import ScoredItems, SequenceModel
from engine.pipeline import POLICIES, Policy, recommend

K = 20
RECALL, MRR = f"recall@{K}", f"mrr@{K}"
MAX_PLAYS = 2_000  # that are ranked; they put Recall@20 within about ±.02, and differences within less
MAX_SLATES = 300  # of two kinds each, which take some milliseconds
WITH_SESSION, WITHOUT_SESSION = "with_session", "without_session"
_FIRST_STAND_IN = 1 << 61  # greater than the id of any listener
Difference = dict[str, float]


def evaluate_sequences(
    models: Mapping[str, PrefixScorer], past: Sessions, later: Sessions, items: int, *, seed: int
) -> dict[str, Any]:
    """Rank a sample of the plays of later sessions by sequence models and by the simple models of `baselines`.

    Args:
        models: by name; the first is compared with all others. None may have seen the later sessions.
        past: from which the simple models learn.
        later: the sessions that are predicted.
        items: how many items there are.
        seed: of the sample and of the resamples.

    Returns:
        Ready for JSON: "sessions" and "plays", how many were ranked; "models", with Recall@20 and MRR@20 of each model,
        and by prefix length; and "differences", those of Recall@20 of the first model to each other one, with the 95 %
        interval of a paired bootstrap over sessions. Tracks that nobody had played before are not predicted.
    """
    is_known = np.bincount(past.items, minlength=items) > 0
    ranks = {
        name: rank_next_tracks(score, later, is_known, MAX_PLAYS, seed)
        for name, score in {**models, **baselines(past, items)}.items()
    }
    return _report(ranks, seed)


def evaluate_session_slates(
    bundle: ModelBundle,
    past: Plays,
    later: Sessions,
    items: IdMap,
    users: IdMap,
    *,
    seed: int,
    cold_below: int = COLD_BELOW,
    policies: Mapping[str, Policy] = POLICIES,
) -> dict[str, Any] | None:
    """Compare personal slates that count the current session with those of the same policies with its weight at 0.

    Args:
        bundle: a version that was trained without the later sessions.
        past: all interactions before these.
        later: sessions with rows of `items` and `users`.
        items: the catalogue.
        users: the listeners.
        seed: of the sample and of the resamples.
        cold_below: see `plan_query`.
        policies: the policies in use by name.

    Returns:
        As `evaluate_sequences`, with the models `WITH_SESSION` and `WITHOUT_SESSION`, and the "weight" of the session
        in the policy "personal". None if that does not count sessions, or nothing can be predicted.
    """
    weight = policies["personal"].sources.get("session", 0.0)
    is_known = np.isin(items.ids, past.track)
    plays = later.sample_plays(is_known, MAX_SLATES, seed)
    if not weight or not len(plays):
        return None
    variants = {WITH_SESSION: policies, WITHOUT_SESSION: with_session_weight(policies, 0.0)}
    ranks = rank_in_slates(bundle, variants, past, later, plays, items, users, cold_below=cold_below)
    return {"weight": weight} | _report(ranks, seed)


def with_session_weight(policies: Mapping[str, Policy], weight: float) -> dict[str, Policy]:
    """Return the policies with another weight of the source "session", where they have it."""
    return {
        name: replace(policy, sources={**policy.sources, "session": weight}) if "session" in policy.sources else policy
        for name, policy in policies.items()
    }


def rank_in_slates(
    bundle: ModelBundle,
    variants: Mapping[str, Mapping[str, Policy]],
    past: Plays,
    later: Sessions,
    plays: NDArray[np.int64],
    items: IdMap,
    users: IdMap,
    *,
    limit: int = K,
    cold_below: int = COLD_BELOW,
) -> dict[str, NextTrackRanks]:
    """Rank plays of later sessions in the personal slates that their listeners would get after the play before.

    A listener's history is their past and the session until then. Blocks and availability do not count.

    Args:
        bundle: a version that was trained without the later sessions.
        variants: the policies in use by name, of each variant.
        past: all interactions before these sessions.
        later: sessions with rows of `items` and `users`.
        plays: positions in `later.items`, each but the first of its session, int64 (q,).
        items: the catalogue.
        users: the listeners.
        limit: the length of the slates.
        cold_below: see `plan_query`.

    Returns:
        The ranks of each variant; 0 for tracks that are not on the slate.
    """
    of_session = later.session_of_play[plays]
    begins = later.offsets[of_session]
    past = past.where(np.argsort(past.user, kind="stable"))
    prefixes = [items.ids[later.items[begin:play]] for begin, play in zip(begins, plays, strict=True)]
    nows = later.ended_at[of_session].tolist()
    chunks = []
    for number, (user, prefix, now) in enumerate(zip(later.user[of_session].tolist(), prefixes, nows, strict=True)):
        own = [Plays.from_rows((0, track, 1, True, now) for track in prefix.tolist())]
        if user >= 0:
            own.insert(0, past.where(slice(*np.searchsorted(past.user, users.ids[user] + np.arange(2)).tolist())))
        chunk = Plays.concatenate(own)
        chunks.append(replace(chunk, user=np.full(len(chunk), _FIRST_STAND_IN + number)))
    histories = ListenerHistories.from_plays(Plays.concatenate(chunks), Restrictions())
    ranks = {name: np.zeros(len(plays), np.int64) for name in variants}
    for number, (prefix, now, target) in enumerate(zip(prefixes, nows, items.ids[later.items[plays]], strict=True)):
        listener = replace(histories.state(number), session=prefix[-CURRENT_PLAYS:])
        for name, policies in variants.items():
            query, policy = plan_query(
                bundle, listener, policies["personal"], limit=limit, cold_below=cold_below, now=now, policies=policies
            )
            track_ids = [pick.track_id for pick in recommend(bundle, query, policy).picks]
            ranks[name][number] = track_ids.index(target) + 1 if target in track_ids else 0
    return {name: NextTrackRanks(of_variant, plays - begins, of_session) for name, of_variant in ranks.items()}


def scorer_of_other_catalogue(model: SequenceModel, own: IdMap, items: IdMap) -> PrefixScorer:
    """Return a scorer with rows of one catalogue, of a model with rows of another one.

    Args:
        model: the model.
        own: the tracks of its rows.
        items: the tracks of the rows of the scorer.
    """

    def score(prefix: NDArray[np.int32]) -> ScoredItems:
        own_prefix, is_known = own.rows(items.ids[prefix])
        own_rows, scores = model.score(own_prefix[is_known])
        rows, is_item = items.rows(own.ids[own_rows])
        return rows[is_item], scores[is_item]

    return score


def _report(ranks: Mapping[str, NextTrackRanks], seed: int) -> dict[str, Any]:
    first = next(iter(ranks.values()))
    return {
        "sessions": len(np.unique(first.session)),
        "plays": len(first),
        "models": {name: of_model.report(K) for name, of_model in ranks.items()},
        "differences": _paired_differences(ranks, seed) if len(first) else {},
    }


def _paired_differences(ranks: Mapping[str, NextTrackRanks], seed: int) -> dict[str, Difference]:
    """Return the differences in Recall@20 between the first model and each other one."""
    first, *others = ranks
    _, of_session = np.unique(ranks[first].session, return_inverse=True)
    plays = np.bincount(of_session).astype(np.float64)
    hits = {name: np.bincount(of_session, of_model.is_hit(K).astype(np.float64)) for name, of_model in ranks.items()}
    gains = np.stack([hits[first] - hits[other] for other in others], axis=1)

    def mean_gains(counts: NDArray[np.uint8]) -> NDArray[np.float64]:
        weights = counts.astype(np.float64)
        return np.asarray((weights @ gains) / (weights @ plays)[:, None])

    intervals = statistic_intervals(mean_gains, draw_resamples(len(plays), seed))
    rounded = ({name: round(value, 6) for name, value in i._asdict().items()} for i in intervals)
    return dict(zip(others, rounded, strict=True))
