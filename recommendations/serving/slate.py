"""Candidates → filters → ranking: a full slate of tracks that exist and may be offered."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.play_contexts import ACTIVITY, DEVICE, context_code
from engine.listener_query import ListenerState, plan_query
from engine.pipeline import PERSONAL_SOURCES, POLICIES, Pick, Policy, Ranking, append_picks
from engine.pipeline import recommend as rank_tracks
from engine.retrieval.candidates import Query
from recommendations import metrics
from recommendations.serving.filters import Filters, build_filters, find_genre_tracks, unavailable_tracks
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from tracks.card_cache import TrackCard, track_card_cache
from tracks.selectors import content_neighbours

NO_TRACKS = np.zeros(0, np.int64)
SPARE_PICKS = 50  # asked for beyond the limit where the list of unavailable tracks may be half a minute old
MAX_ATTEMPTS = 3  # to rank without tracks that are deleted or taken down: as listed, with known gaps, with new lists


class UnknownTrack(Exception):
    """The catalogue has no track with this id."""


class UnknownGenre(Exception):
    """The catalogue has no genre or other tag with this id or name."""


@dataclass(frozen=True)
class RankedSlate:
    """The tracks of one answer.

    Attributes:
        ranking: the picks, best first.
        cards: the card of each pick, by track id.
        fallback_reason: why the answer is not the usual one; None if it is.
        query: what the engine was asked.
        policy: the label of the policy that built it.
    """

    ranking: Ranking
    cards: dict[int, TrackCard]
    fallback_reason: str | None
    query: Query
    policy: str


@dataclass(frozen=True)
class SlatePlan:
    """How a slate is going to be built: what to ask of the engine, and what to leave out.

    `is_personal` says that the policy needs the plays of the listener, and that there are enough of them.
    """

    model: LoadedModel
    policy: Policy
    query: Query
    filters: Filters
    fallback_reason: str | None
    is_personal: bool = False


def plan_slate(
    request: RecommendationRequest,
    context: RequestContext,
    model: LoadedModel,
    policy: Policy,
    exclude: NDArray[np.int64] = NO_TRACKS,
    before: NDArray[np.int64] = NO_TRACKS,
) -> SlatePlan:
    """Turn a request into a query for the engine.

    Which query and which policy a listener gets is decided by `plan_query`, as in the evaluation.

    Args:
        exclude: tracks that the slate must not contain.
        before: those of the earlier pages in their order, below which caps, gaps and the head of the policy go on.

    Raises:
        UnknownTrack: for tracks similar to one that does not exist.
        UnknownGenre: for the tracks of a genre that does not exist.
    """
    filters = build_filters(request, context, exclude)
    listener = listener_state(context, filters)
    if request.kind == "similar":
        track_id = request.track_id or 0
        if not track_card_cache.get_cards([track_id], context.revisions.catalogue):
            raise UnknownTrack(track_id)
        track = np.array([track_id], np.int64)
        query = Query(
            request.limit,
            seed=track_id,
            track_id=track_id,
            similarity=request.similarity,
            exclude=track,
            forbidden=listener.never_offered,
            unavailable=filters.unavailable,
            before=before,
            now=int(time.time()),
        )
        return SlatePlan(model, _below(policy, before), query, filters, None)

    only = None
    if request.genre is not None:
        only = find_genre_tracks(context.revisions.catalogue, request.genre)
        if only is None:
            raise UnknownGenre(request.genre)
    if request.kind == "personal":
        listener = replace(listener, session=np.array(context.session.track_ids, np.int64))
    query, planned_policy = plan_query(
        model.bundle,
        listener,
        policy,
        limit=request.limit,
        exclude_played=request.exclude_played is not False,
        cold_below=settings.MUSICREC["COLD_BELOW"],
        now=int(time.time()),
        device=context_code(DEVICE, request.device),
        activity=context_code(ACTIVITY, request.activity),
        policies=context.policies,
        time_fold_in=metrics.fold_in_seconds.time,
    )
    reason = None
    if context.listener_id is None:
        pass  # nobody's taste was asked for
    elif request.kind == "personal" and not listener.consent:
        reason = "no_consent"
    elif planned_policy is not policy and listener.interactions < settings.MUSICREC["COLD_BELOW"]:
        reason = "cold_user"
    query = replace(query, before=before, only=only)
    query, planned_policy = set_dials(query, planned_policy, _requested_dials(request))
    planned_policy = _below(planned_policy, before)
    if request.after is not None:  # played tracks are not added to pages of new ones
        planned_policy = replace(planned_policy, may_repeat=False)
    is_personal = request.kind == "personal" and reason is None and context.listener_id is not None
    return SlatePlan(model, planned_policy, query, filters, reason, is_personal)


def listener_state(context: RequestContext, filters: Filters) -> ListenerState:
    """Return the listener of a request as the engine knows them; a request without one has an empty history."""
    history = context.history
    return ListenerState(
        context.listener_id or 0,
        history.pairs,
        history.interactions,
        history.newest,
        filters.forbidden,
        filters.unavailable,
        context.settings.consent,
        history.checksum,
        context.slider_tracks,
    )


def _below(policy: Policy, before: NDArray[np.int64]) -> Policy:
    """Leave of the head of a policy what the tracks of the earlier pages have not taken."""
    return replace(policy, head=max(policy.head - len(before), 0)) if policy.head and len(before) else policy


def _requested_dials(request: RecommendationRequest) -> dict[str, float]:
    """Return the dials that a request names."""
    dials = {}
    if request.exclude_played is not None:  # without known tracks, or with as many as compete by their scores
        dials["familiarity"] = 0.0
    elif request.familiarity is not None:
        dials["familiarity"] = request.familiarity
    if request.diversity is not None:
        dials["diversity"] = request.diversity
    return dials


def set_dials(query: Query, policy: Policy, values: Mapping[str, float]) -> tuple[Query, Policy]:
    """Let dials take the place of the policy's own.

    The policy's diversity acts below its head, for listeners who asked for nothing. Who asks for diversity gets it from
    the first position on.
    """
    if "diversity" in values:
        query = replace(query, head_diversity=values["diversity"])
    dials = replace(policy.dials, **values)
    return query, policy if dials == policy.dials else replace(policy, dials=dials)


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
    if plan.query.track_id is not None and len(ranking.picks) < plan.query.limit:
        if not ranking.picks:
            reason = reason or "cold_track"
        ranking, cards = _fill_similar(plan, ranking)
    elif plan.is_personal:
        sources = {pick.source for pick in ranking.picks}
        # That the listener's own tracks can be repeated says nothing about new ones.
        new = sources if sources <= {"repeat"} else sources - {"repeat"}
        if ranking.picks and not new & {*PERSONAL_SOURCES, plan.policy.main_source}:
            reason = reason or "no_known_tracks"
    if ranking.repeats:
        reason = reason or "nothing_new"
    return RankedSlate(ranking, cards, reason, plan.query, plan.policy.label)


def _fill(plan: SlatePlan, ranking: Ranking) -> tuple[Ranking, dict[int, TrackCard]]:
    """Replace picks that were deleted or taken down since this process read its lists.

    At first the ranking is repeated without them. If that offers such tracks again, there may be many: then the lists
    are read again. Where the version knows too few tracks of the catalogue, popular ones fill the slate.
    """
    bundle, query, policy = plan.model.bundle, plan.query, plan.policy
    for attempt in range(MAX_ATTEMPTS):
        cards = plan.filters.available([pick.track_id for pick in ranking.picks])
        gone = [pick.track_id for pick in ranking.picks if pick.track_id not in cards]
        if not gone or attempt == MAX_ATTEMPTS - 1:
            break
        unavailable_tracks.expire()
        query = replace(query, gone=np.append(query.gone, gone))
        if attempt:
            if bundle.version is None:
                model_cache.refresh_popularity()
                bundle = model_cache.popularity_model().bundle
            query = replace(query, unavailable=plan.filters.reload_unavailable(gone, bundle.items.ids))
        ranking = rank(bundle, query, policy)
    if gone:  # those that remain are placed again, for they have moved closer together
        picks = [pick for pick in ranking.picks if pick.track_id in cards]
        kept = replace(ranking, picks=[], relaxed_at={})
        ranking = append_picks(bundle, kept, picks, policy.caps, query.limit, query.before)
    if "popular" in policy.source_names and len(ranking.picks) < query.limit:
        return _fill_popular(plan, query, ranking, cards)
    return ranking, cards


def _fill_similar(plan: SlatePlan, ranking: Ranking) -> tuple[Ranking, dict[int, TrackCard]]:
    """Fill a short slate of similar tracks by artist, album and tags, and then by popularity.

    The caps of the policy hold for the whole slate.
    """
    query, track_id = plan.query, plan.query.track_id
    assert track_id is not None
    taken = {track_id, *(pick.track_id for pick in ranking.picks), *query.forbidden.tolist()}
    neighbours = [(i, round(score, 6)) for i, score in content_neighbours(track_id) if i not in taken]
    content = [Pick(i, score, "content", ("content",)) for i, score in neighbours]
    cards = plan.filters.available([pick.track_id for pick in ranking.picks + content])
    content = [pick for pick in content if pick.track_id in cards]
    return _fill_popular(plan, query, ranking, cards, content)


def _fill_popular(
    plan: SlatePlan, query: Query, ranking: Ranking, cards: dict[int, TrackCard], first: Sequence[Pick] = ()
) -> tuple[Ranking, dict[int, TrackCard]]:
    """Fill a short slate with tracks that the version does not know: popular ones, and then whatever there is.

    The caps of the policy hold for the whole slate.

    Args:
        first: picks to fill it with before the popular ones.
    """
    bundle, caps, filters = plan.model.bundle, plan.policy.caps, plan.filters
    query = _forbid(query, [pick.track_id for pick in (*ranking.picks, *first)])
    for has_read_again in (False, True):
        popular = _rank_popular(replace(query, limit=query.limit + SPARE_PICKS), may_repeat=False)
        cards |= filters.available([pick.track_id for pick in popular.picks])
        gone = [pick.track_id for pick in popular.picks if pick.track_id not in cards]
        is_current = filters.are_current and model_cache.catalogue_revision == filters.catalogue_revision
        if has_read_again or (not gone and is_current):
            break
        model_cache.refresh_popularity()
        track_ids = model_cache.popularity_model().bundle.items.ids
        query = replace(
            query, gone=np.append(query.gone, gone), unavailable=filters.reload_unavailable(gone, track_ids)
        )
    more = [*first, *(pick for pick in popular.picks if pick.track_id in cards)]
    filled = append_picks(bundle, ranking, more, caps, query.limit, query.before)
    if len(filled.picks) < query.limit and model_cache.unlisted_after is not None:
        left_out = {*query.forbidden.tolist(), *query.exclude.tolist(), *(pick.track_id for pick in filled.picks)}
        unlisted = (i for i in _iter_unlisted(filters, query, model_cache.unlisted_after) if i not in left_out)
        rest = [Pick(i, 0.0, "random", ("random",)) for i in islice(unlisted, query.limit - len(filled.picks))]
        cards |= filters.available([pick.track_id for pick in rest])
        listed = [pick for pick in rest if pick.track_id in cards]
        filled = append_picks(bundle, filled, listed, caps, query.limit, query.before)
    if filled.picks or not plan.policy.may_repeat:
        return filled, cards
    popular = _rank_popular(query, may_repeat=True)
    cards |= filters.available([pick.track_id for pick in popular.picks])
    available = [pick for pick in popular.picks if pick.track_id in cards]
    repeats = Ranking(repeats=popular.repeats)
    return append_picks(bundle, repeats, available, caps, query.limit, query.before), cards


def _iter_unlisted(filters: Filters, query: Query, after: int) -> Iterator[int]:
    """Yield the ids of the tracks greater than `after` that the query allows."""
    if query.only is None:
        return filters.iter_unlisted(after)
    return iter(np.setdiff1d(query.only[query.only > after], query.unavailable).tolist())


def _forbid(query: Query, track_ids: list[int]) -> Query:
    return replace(query, forbidden=np.union1d(query.forbidden, np.array(track_ids, np.int64)))


def _rank_popular(query: Query, may_repeat: bool) -> Ranking:
    """Rank the tracks of the catalogue, including those that the version in service does not know."""
    policy = replace(POLICIES["popular"], may_repeat=may_repeat)
    return rank_tracks(model_cache.popularity_model().bundle, query, policy)
