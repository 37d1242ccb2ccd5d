"""Candidates → filters → ranking: a full slate of tracks that exist and may be offered."""

from dataclasses import dataclass, replace

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.id_map import INT64_MAX
from engine.pipeline import POLICIES, Pick, Policy, Ranking
from engine.pipeline import recommend as rank_tracks
from engine.retrieval.candidates import Query
from recommendations import metrics
from recommendations.serving.filters import Filters, build_filters, unavailable_tracks
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from tracks.card_cache import TrackCard, track_card_cache
from tracks.selectors import content_neighbours

NO_TRACKS = np.zeros(0, np.int64)
SPARE_PICKS = 50  # asked for beyond the limit where the list of unavailable tracks may be half a minute old
MAX_TRIES = 3  # tracks deleted or taken down since they were listed leave gaps; each try fills those seen so far


class UnknownTrack(Exception):
    """The catalogue has no track with this id."""


@dataclass(frozen=True)
class RankedSlate:
    """The tracks of one answer.

    Attributes:
        ranking: the picks, best first.
        cards: the card of each pick, by track id.
        fallback_reason: why the answer is not the usual one; None if it is.
        evidence: int64 (k,), the tracks that explain the picks: those the listener likes, or the one asked about.
    """

    ranking: Ranking
    cards: dict[int, TrackCard]
    fallback_reason: str | None
    evidence: NDArray[np.int64]


@dataclass(frozen=True)
class SlatePlan:
    """How a slate is going to be built: what to ask of the engine, and what to leave out."""

    model: LoadedModel
    policy: Policy
    query: Query
    filters: Filters
    fallback_reason: str | None
    evidence: NDArray[np.int64]


def plan_slate(
    request: RecommendationRequest,
    context: RequestContext,
    model: LoadedModel,
    policy: Policy,
    exclude: NDArray[np.int64] = NO_TRACKS,
) -> SlatePlan:
    """Turn a request into a query for the engine.

    Listeners with few interactions get a policy that leans on popularity. The history of a listener who withdrew
    consent counts only where it is a dislike.

    Raises:
        UnknownTrack: for tracks similar to one that does not exist.
    """
    filters = build_filters(request, context, exclude)
    if request.kind == "similar":
        track_id = request.track_id or 0
        if track_id > INT64_MAX or not track_card_cache.get_cards([track_id], context.revisions.catalogue):
            raise UnknownTrack(track_id)
        track = np.array([track_id], np.int64)
        query = Query(
            request.limit,
            seed=track_id,
            track_id=track_id,
            exclude=track,
            forbidden=filters.forbidden,
            unavailable=filters.unavailable,
        )
        return SlatePlan(model, policy, query, filters, None, track)

    consent, cold_below = context.settings.consent, settings.MUSICREC["COLD_BELOW"]
    history, pairs = context.history, context.history.pairs
    known_tracks, positive_tracks = pairs.track[pairs.is_positive | pairs.is_negative], pairs.track[pairs.is_positive]
    reason = None
    if request.kind == "personal" and not consent:
        reason = "no_consent"
    elif request.kind == "personal" and history.interactions < cold_below:
        reason, policy = "cold_user", POLICIES["early" if history.interactions else "popular"]
    listener_id = request.listener_id or 0
    query = Query(
        request.limit,
        seed=listener_id,
        forbidden=filters.forbidden,
        unavailable=filters.unavailable,
        personal_weight=min(1.0, history.interactions / cold_below),
        time_fold_in=metrics.fold_in_seconds.time,
    )
    if consent:
        query = replace(
            query,
            user_row=model.bundle.user_row(listener_id, (history.interactions, history.newest)),
            history=pairs,
            exclude=known_tracks if request.exclude_played else NO_TRACKS,
        )
    return SlatePlan(model, policy, query, filters, reason, positive_tracks)


def rank(bundle: ModelBundle, query: Query, policy: Policy) -> Ranking:
    """Ask the engine for a ranking, and observe how long it takes."""
    with metrics.top_k_seconds.time():
        return rank_tracks(bundle, query, policy)


def build_slate(plan: SlatePlan, ranking: Ranking | None = None) -> RankedSlate:
    """Build a full slate. Without a single track in the catalogue it is empty.

    Args:
        ranking: the answer to the query, where it has been computed already.
    """
    ranking, cards = _fill(plan, ranking or rank(plan.model.bundle, plan.query, plan.policy))
    reason = plan.model.problem or plan.fallback_reason
    if plan.policy.name == "similar" and len(ranking.picks) < plan.query.limit:
        if not ranking.picks:
            reason = reason or "cold_track"
        ranking, cards = _fill_similar(plan, ranking)
    elif plan.policy.name == "personal" and ranking.strategy != plan.policy.sources[0]:
        reason = reason or "no_known_tracks"
    if ranking.repeats:
        reason = reason or "nothing_new"
    return RankedSlate(ranking, cards, reason, plan.evidence)


def _fill(plan: SlatePlan, ranking: Ranking) -> tuple[Ranking, dict[int, TrackCard]]:
    """Replace picks that were deleted or taken down since the engine's lists were read.

    Where the version knows hardly any track of the catalogue (another database, say), popular tracks fill the slate.
    """
    query, policy = plan.query, plan.policy
    for tries_left in reversed(range(MAX_TRIES)):
        cards = plan.filters.available([pick.track_id for pick in ranking.picks])
        gone = [pick.track_id for pick in ranking.picks if pick.track_id not in cards]
        if not gone and (ranking.picks or not policy.may_repeat):
            return ranking, cards
        unavailable_tracks.expire()
        query = _forbid(query, gone)
        if tries_left:
            ranking = rank(plan.model.bundle, query, policy)
    picks = [pick for pick in ranking.picks if pick.track_id in cards]
    if not policy.may_repeat:
        return Ranking(picks, ranking.repeats), cards
    rest = replace(_forbid(query, [pick.track_id for pick in picks]), limit=query.limit + SPARE_PICKS)
    popular = _rank_popular(rest, may_repeat=not picks)
    cards |= plan.filters.available([pick.track_id for pick in popular.picks])
    picks += [pick for pick in popular.picks if pick.track_id in cards]
    return Ranking(picks[: query.limit], popular.repeats), cards


def _fill_similar(plan: SlatePlan, ranking: Ranking) -> tuple[Ranking, dict[int, TrackCard]]:
    """Fill a short slate of similar tracks by artist, album and tags, and then by popularity."""
    query, track_id = plan.query, plan.query.track_id
    assert track_id is not None
    taken = {track_id, *(pick.track_id for pick in ranking.picks), *query.forbidden.tolist()}
    content = [Pick(i, round(score, 6), "content") for i, score in content_neighbours(track_id) if i not in taken]
    available = plan.filters.available([pick.track_id for pick in content])  # any number of them may be unavailable
    picks = ranking.picks + [p for p in content if p.track_id in available][: query.limit + SPARE_PICKS]
    taken |= {pick.track_id for pick in picks}
    rest = replace(query, limit=query.limit + SPARE_PICKS, exclude=np.array(sorted(taken), np.int64))
    picks += _rank_popular(rest, may_repeat=False).picks
    cards = plan.filters.available([pick.track_id for pick in picks])
    return Ranking([pick for pick in picks if pick.track_id in cards][: query.limit]), cards


def _forbid(query: Query, track_ids: list[int]) -> Query:
    return replace(query, forbidden=np.union1d(query.forbidden, np.array(track_ids, np.int64)))


def _rank_popular(query: Query, may_repeat: bool) -> Ranking:
    """Rank the tracks of the catalogue, including those that the version in service does not know."""
    policy = replace(POLICIES["popular"], may_repeat=may_repeat)
    return rank_tracks(model_cache.popularity_model().bundle, query, policy)
