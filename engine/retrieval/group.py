"""Tracks for several listeners at once, by what each of them would like.

The candidates are those of all members, each by the sources of their own policy: a listener without a history, or of
whose history the version knows nothing, has popular tracks, as alone. Every candidate is scored for every member by
that member's main source. Scores of different listeners and sources have no common scale, unlike the ratings that the
literature aggregates, so that they are brought to one first. With s the score of track i for member m, and the minimum
and the maximum over all candidates,

    relevance(m, i) = (s − min) / (max − min)

which is 0 for a track that the main source of the member knows nothing of. The score of a track is, by strategy,

    average:        mean over m of relevance(m, i)
    least misery:   (min over m of relevance(m, i) + 0.01 · mean over m of relevance(m, i)) / 1.01

Both strategies are in the survey of Masthoff (2011, "Group Recommender Systems: Combining Individual Models"); PolyLens
merged lists by least misery (O'Connor, Cosley, Konstan & Riedl 2001, "PolyLens: A Recommender System for Groups of
Users"). The hundredth of the mean orders tracks that are equal by the minimum: where tastes have little in common, most
tracks are unknown to somebody.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.retrieval import candidates
from engine.retrieval.candidates import LEAST_MISERY, Query
from engine.retrieval.exact_search import Rows, TopK, empty_top_k, top_k_of_rows

Floats = NDArray[np.float64]
TIE_BREAK = 0.01  # what the mean counts beside the minimum in least misery
MIN_OWN = 0.25
_ROUNDING = 1e-6  # by which two scores of the same track may differ
_FOR_EVERYBODY = frozenset({"popular", "trending", "random"})  # sources whose candidates are the same for all listeners


class MemberOpinion(NamedTuple):
    """What a member of a group would say of a track.

    Attributes:
        relevance: 0 for the worst candidate of the group, or if nothing is known, to 1 for the best one.
        is_own: whether it is as relevant as the candidates of the member's own main source, and not only because these
            are most of a small catalogue: not below `MIN_OWN`.
        source: the source that says so.
    """

    relevance: float
    is_own: bool
    source: str


class _Judges(NamedTuple):
    """How each of m members scores tracks, for as long as the group is asked for more.

    Attributes:
        sources: the main source of each member.
        lowest: score of the candidates of all members, float64 (m,).
        highest: of these.
        lowest_own: of the candidates that the main source of the member proposed.
    """

    sources: tuple[str, ...]
    lowest: Floats
    highest: Floats
    lowest_own: Floats


_JUDGES = "judges of the group"


def group(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by what the members of `query.group` would like; nothing without a group."""
    if query.group is None:
        return empty_top_k()
    judges: _Judges | None = workspace.recall(_JUDGES, query)
    proposals: dict[tuple[str, int], Rows] = {}

    def propose(source: str, number: int) -> Rows:
        key = source, 0 if source in _FOR_EVERYBODY else number
        if key not in proposals:
            proposals[key], _ = candidates.SOURCES[source](bundle, members[number].query, workspace, k)
        return proposals[key]

    members = query.group.members
    of_members = [[propose(source, number) for source in member.sources] for number, member in enumerate(members)]
    if judges is None:
        has_own = [len(own[0]) > 0 for own in of_members]
        sources = tuple(_main_source(member.sources[0], has) for member, has in zip(members, has_own, strict=True))
    else:
        sources = judges.sources
    own_rows = [propose(source, number) for number, source in enumerate(sources)]
    rows = np.unique(np.concatenate(list(proposals.values())))
    scores = _member_scores(bundle, query, workspace, sources, rows)
    is_known = ~np.isnan(scores).all(axis=0)
    rows, scores = rows[is_known], scores[:, is_known]
    if not len(rows):
        return empty_top_k()
    if judges is None:
        own_scores = (scores[number, np.isin(rows, of_member)] for number, of_member in enumerate(own_rows))
        lowest_own = np.array([np.fmin.reduce(of_member, initial=np.inf) for of_member in own_scores])
        judges = _Judges(sources, np.fmin.reduce(scores, axis=1), np.fmax.reduce(scores, axis=1), lowest_own)
        workspace.remember(_JUDGES, query, lambda: judges)
    relevance = scale_scores(scores, judges.lowest, judges.highest)
    return top_k_of_rows(rows, aggregate(relevance, query.group.strategy), k)


def member_opinions(
    bundle: ModelBundle, query: Query, workspace: SearchWorkspace, track_ids: list[int]
) -> dict[int, tuple[MemberOpinion, ...]]:
    """Return what each member of the query's group would say of tracks of the bundle, by track id."""
    judges: _Judges | None = workspace.recall(_JUDGES, query)
    if judges is None:
        return {}
    scores = _member_scores(bundle, query, workspace, judges.sources, bundle.items.rows(track_ids)[0])
    relevance = scale_scores(scores, judges.lowest, judges.highest)
    is_own = scores >= (judges.lowest_own - _ROUNDING * (judges.highest - judges.lowest))[:, None]  # never for NaN
    is_own &= relevance >= MIN_OWN
    return {
        track_id: tuple(map(MemberOpinion, of_track.tolist(), own_of_track.tolist(), judges.sources))
        for track_id, of_track, own_of_track in zip(track_ids, relevance.T, is_own.T, strict=True)
    }


def _main_source(source: str, has_candidates: bool) -> str:
    """Return the source that scores the candidates of others for a member, like the slate for this member alone.

    Where their main source has nothing, popular tracks fill that. One that scores nothing but what it proposes is
    replaced by "personal".
    """
    if not has_candidates:
        return "popular"
    return source if source in candidates.SCORERS else "personal"


def _member_scores(
    bundle: ModelBundle, query: Query, workspace: SearchWorkspace, sources: tuple[str, ...], rows: Rows
) -> Floats:
    """Return the scores of distinct rows, int64 (k,), for each of m members by a source: float64 (m, k)."""
    members = query.group.members if query.group else ()
    return np.stack(
        [
            candidates.SCORERS[source](bundle, member.query, workspace, rows)
            for source, member in zip(sources, members, strict=True)
        ]
    )


def scale_scores(scores: Floats, lowest: Floats, highest: Floats) -> Floats:
    """Bring the scores of m members to one scale.

    Args:
        scores: float64 (m, k); NaN for tracks that nothing is known of.
        lowest, highest: the scores that become 0 and 1, float64 (m,). Scores beyond them become 0 and 1 as well, and if
            both are equal, the known ones become 1.

    Returns:
        float64 (m, k), 0 to 1; 0 for NaN.
    """
    width = (highest - lowest)[:, None]
    scaled = np.divide(scores - lowest[:, None], width, out=np.where(np.isnan(scores), np.nan, 1.0), where=width > 0)
    return np.asarray(np.nan_to_num(np.clip(scaled, 0.0, 1.0), nan=0.0))


def aggregate(relevance: Floats, strategy: str) -> Floats:
    """Return one score for each of k tracks by one of `GROUP_STRATEGIES`: float64 (k,), 0 to 1.

    Args:
        relevance: of each track for each of m members, 0 to 1, float64 (m, k).
    """
    mean = relevance.mean(axis=0)
    if strategy == LEAST_MISERY:
        return np.asarray((relevance.min(axis=0) + TIE_BREAK * mean) / (1 + TIE_BREAK))
    return np.asarray(mean)
