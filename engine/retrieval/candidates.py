"""The interface of candidate sources (query in, ranked tracks out), and their registry."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.data.play_contexts import UNKNOWN_CONTEXT
from engine.data.sliders import SliderTracks
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import PERSONAL_ONLY, EarlyWeights
from engine.retrieval.exact_search import Floats, Rows, TopK
from engine.retrieval.station import Station

_no_ids: Callable[[], NDArray[np.int64]] = partial(np.zeros, 0, np.int64)  # type: ignore[assignment]
CF, CONTENT, HYBRID = "cf", "content", "hybrid"
SIMILARITIES = (CF, CONTENT, HYBRID)
"""What makes tracks similar: who plays them (collaborative filtering), their content, or both."""
AVERAGE, LEAST_MISERY = "average", "least_misery"
GROUP_STRATEGIES = (AVERAGE, LEAST_MISERY)
"""How the relevance of a track for the members of a group becomes one score, see `engine.retrieval.group`."""


@dataclass(frozen=True)
class Query:
    """A request for candidates: for a listener, or for tracks similar to one.

    Attributes:
        limit: length of the slate.
        seed: makes the pseudo-random source differ between listeners, and never between two calls.
        user_row: the listener's row if the version was trained on exactly this history, else None.
        history: the listener's interactions; its `track` column holds track ids.
        exclude: ids of tracks to leave out while there are others, int64 (k,).
        forbidden: ids of tracks that must never be offered, nor other tracks of the same recordings, int64 (k,).
        gone: ids of further tracks that must never be offered; others of the same recordings may be. int64 (k,).
        unavailable: further forbidden tracks: a long list that many queries share, int64 (k,). Pass the same array each
            time and never write to it, because its ids are looked up only once.
        only: ids of the only tracks that may be offered, such as those of a genre, int64 (k,); None for all. Pass the
            same array each time, as of `unavailable`.
        before: ids of the tracks on the earlier pages of the slate, in their order, int64 (k,). Caps, gaps and
            shares go on below them; to leave them out, forbid them.
        sliders: how much more, or less, of some artists and tags the listener wants.
        track_id: the track to which the candidates of "similar" are similar.
        similarity: of which kind, one of `SIMILARITIES`.
        station: of the radio whose candidates are asked for.
        group: the listeners for whom the candidates of "group" are.
        early_weights: of what is known of the listener, for the source "early".
        time_fold_in: returns the context manager that times a fold-in.
        head_diversity: the dial `diversity` for the head of the slate, 0 to 1; below the head that of the policy acts.
        session: ids of the tracks that the listener has played in the current session, oldest first, int64 (k,);
            they are left out while there are others, also where known tracks are offered.
        now: UNIX second of the request, which decides how old releases and plays are; 0 if unknown.
        device, activity: codes of what the listener listens on and from, see `engine.data.play_contexts.context_code`.
        repeat_before: UNIX second; tracks that the listener has played since are too new for "repeat". 0 for no limit.
    """

    limit: int
    seed: int = 0
    user_row: int | None = None
    history: UserItemPairs = field(default_factory=UserItemPairs.empty)
    exclude: NDArray[np.int64] = field(default_factory=_no_ids)
    forbidden: NDArray[np.int64] = field(default_factory=_no_ids)
    gone: NDArray[np.int64] = field(default_factory=_no_ids)
    unavailable: NDArray[np.int64] = field(default_factory=_no_ids)
    only: NDArray[np.int64] | None = None
    before: NDArray[np.int64] = field(default_factory=_no_ids)
    sliders: tuple[SliderTracks, ...] = ()
    track_id: int | None = None
    similarity: str = HYBRID
    station: Station | None = None
    group: Group | None = None
    early_weights: EarlyWeights = PERSONAL_ONLY
    time_fold_in: Callable[[], AbstractContextManager[object]] = nullcontext
    head_diversity: float = 0.0
    session: NDArray[np.int64] = field(default_factory=_no_ids)
    now: int = 0
    device: int = UNKNOWN_CONTEXT
    activity: int = UNKNOWN_CONTEXT
    repeat_before: int = 0


class Member(NamedTuple):
    """A listener of a group.

    Attributes:
        query: of this listener alone. What must not be offered is said by the query of the group.
        sources: the candidate sources for this listener, at least one; the first one is the main source.
    """

    query: Query
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Listeners who get one slate, and how what each of them would like becomes one score.

    Attributes:
        members: at least one.
        strategy: one of `GROUP_STRATEGIES`.
    """

    members: tuple[Member, ...]
    strategy: str = AVERAGE


CandidateSource = Callable[[ModelBundle, Query, SearchWorkspace, int], TopK]
"""(bundle, query, workspace, k) -> the k best available tracks of the source, fewer if it has fewer.

Sources may use the workspace's arrays, but only the pipeline decides which tracks are excluded.
"""
SOURCES: dict[str, CandidateSource] = {}
RowScorer = Callable[[ModelBundle, Query, SearchWorkspace, Rows], Floats]
"""(bundle, query, workspace, rows) -> the source's scores of distinct rows that other sources proposed, float64 (k,).

NaN for tracks that it knows nothing of. These scores have the scale of the source's own.
"""
SCORERS: dict[str, RowScorer] = {}


def register_source(name: str, source: CandidateSource, score_rows: RowScorer | None = None) -> None:
    """Make a candidate source available to policies, and its name to the API.

    Args:
        score_rows: scores the candidates of other sources where this one is the main source of a policy. Without it,
            the source knows nothing of tracks that it does not propose.

    Raises:
        ValueError: the name is taken.
    """
    if name in SOURCES:
        raise ValueError(f"candidate source {name!r} is already registered")
    SOURCES[name] = source
    if score_rows is not None:
        SCORERS[name] = score_rows
