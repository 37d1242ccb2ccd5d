"""Turn what is known about a listener into a query and a policy, for serving and for evaluation alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.play_contexts import UNKNOWN_CONTEXT
from engine.data.sliders import SliderTracks
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import PERSONAL_ONLY
from engine.pipeline import PERSONAL, POLICIES, Policy
from engine.retrieval.candidates import Query

COLD_BELOW = 5
Ids = NDArray[np.int64]
_no_ids: Callable[[], Ids] = partial(np.zeros, 0, np.int64)  # type: ignore[assignment]


@dataclass(frozen=True)
class ListenerState:
    """Everything about a listener that decides what a bundle recommends to them.

    Attributes:
        listener_id: their id.
        history: a pair for each track that they played, skipped or had an opinion of, with track ids.
        interactions: how many interactions the history is made of.
        newest: UNIX second of the latest of them.
        forbidden: ids of tracks that they must never be offered, besides those that they dislike, int64 (k,).
        unavailable: further forbidden tracks, see `Query.unavailable`.
        consent: whether their history counts; without consent only its dislikes do.
        sliders: how much more, or less, of some artists and tags they want.
        checksum: of the interactions, see `engine.data.plays.user_stamps`.
        session: ids of the tracks that they have played in the current session, oldest first, int64 (k,).
    """

    listener_id: int
    history: UserItemPairs = field(default_factory=UserItemPairs.empty)
    interactions: int = 0
    newest: int = 0
    forbidden: Ids = field(default_factory=_no_ids)
    unavailable: Ids = field(default_factory=_no_ids)
    consent: bool = True
    checksum: int = 0
    sliders: tuple[SliderTracks, ...] = ()
    session: Ids = field(default_factory=_no_ids)

    @property
    def never_offered(self) -> Ids:
        """The ids of the tracks that they must never be offered, those that they dislike included: int64 (k,)."""
        return np.concatenate([self.forbidden, self.history.track[self.history.disliked]])


def plan_query(
    bundle: ModelBundle,
    listener: ListenerState,
    policy: Policy = PERSONAL,
    *,
    limit: int,
    exclude_played: bool = True,
    cold_below: int = COLD_BELOW,
    now: int = 0,
    device: int = UNKNOWN_CONTEXT,
    activity: int = UNKNOWN_CONTEXT,
    policies: Mapping[str, Policy] = POLICIES,
    time_fold_in: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> tuple[Query, Policy]:
    """Return the query that recommends tracks to a listener, and the policy to answer it by.

    Args:
        bundle: the version that is going to answer.
        listener: the listener.
        policy: the policy for a listener with enough interactions. If its main source is "personal", it is replaced by
            "early" for listeners with fewer than `cold_below` interactions, or as many as the version learnt a blend
            for, and by "popular" for those with none. Without consent it is always "popular".
        limit: the length of the slate.
        exclude_played: leave out the tracks that the listener knows, skipped ones included, unless the policy offers
            them.
        cold_below: the number of interactions from which on a listener is no longer cold, at least 1.
        now: UNIX second of the request; 0 if unknown.
        device, activity: see `Query`.
        policies: the policies in use by name, at least "early" and "popular".
        time_fold_in: see `Query`.
    """
    history = listener.history
    forbidden = listener.never_offered
    if not listener.consent:
        query = Query(limit, seed=listener.listener_id, forbidden=forbidden, unavailable=listener.unavailable, now=now)
        return query, policies["popular"]
    if policy.main_source == "personal" and listener.interactions < max(cold_below, bundle.early.below):
        policy = policies["early" if listener.interactions else "popular"]
    is_early = policy.main_source == "early"
    is_known = history.is_positive | history.is_negative
    known = history.track[is_known] if exclude_played and not policy.offers_known else _no_ids()
    query = Query(
        limit,
        seed=listener.listener_id,
        user_row=bundle.user_row(listener.listener_id, (listener.interactions, listener.newest, listener.checksum)),
        history=history,
        exclude=known,
        forbidden=forbidden,
        unavailable=listener.unavailable,
        sliders=listener.sliders,
        early_weights=bundle.early.for_listener(listener.interactions, cold_below) if is_early else PERSONAL_ONLY,
        time_fold_in=time_fold_in,
        session=listener.session,
        now=now,
        device=device,
        activity=activity,
    )
    return query, policy
