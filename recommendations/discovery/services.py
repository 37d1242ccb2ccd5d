"""Artists and genres for a listener, by the tracks that would be recommended to them, and artists similar to one."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson
from django.conf import settings
from django.utils import timezone

from engine.data.track_features import UNKNOWN_ID
from engine.discovery import RelevantTracks, TrackGroup, find_known_artists, gather_relevant, rank_groups
from engine.pipeline import Ranking
from recommendations.discovery.similarity import find_similar_artists
from recommendations.serving.explanations import explain_picks
from recommendations.serving.filters import unavailable_tracks
from recommendations.serving.model_cache import LoadedModel
from recommendations.serving.recommend import Recommendation, assign_policy, dependencies_of, model_for
from recommendations.serving.request_context import RecommendationRequest, RequestContext
from recommendations.serving.response_cache import CachedResponse, response_cache
from recommendations.serving.slate import NO_TRACKS, SlatePlan, plan_slate
from tracks.card_cache import TrackCard
from tracks.selectors import artist_cards, load_genres_of_tracks

ARTIST_TRACKS = 3  # the most relevant tracks of an artist, which decide about them
GENRE_TRACKS = 20  # the same for a genre
GENRE_CANDIDATES = 500  # tracks whose genres are looked at
EXAMPLES = 3  # tracks that are shown of an artist or a genre
MAX_ATTEMPTS = 3  # to rank without tracks that were deleted or taken down since this process read its lists


@dataclass(frozen=True)
class _RankedGroups:
    """Artists or genres, best first.

    Attributes:
        tracks: those by which they were ranked.
        groups: at most as many as were asked for.
        facts: further members of the JSON of each group by its id; groups without are not shown.
    """

    tracks: RelevantTracks
    groups: list[TrackGroup]
    facts: Mapping[int, dict[str, Any]]

    def examples(self, group: TrackGroup) -> list[int]:
        """Return the ids of the tracks that are shown of a group."""
        return [int(self.tracks.track_ids[number]) for number in group.tracks[:EXAMPLES]]


def recommend_artists(
    request: RecommendationRequest, context: RequestContext, client_etags: str = "", *, exclude_known: bool = True
) -> Recommendation:
    """Answer with the artists whose tracks are the most relevant for a listener.

    Args:
        request: of the kind "personal"; its limit is the number of artists.
        client_etags: see `recommend`.
        exclude_known: leave out the artists of whom the listener has played a track.
    """
    request = request._replace(exclude_played=exclude_known)

    def rank(plan: SlatePlan) -> _RankedGroups:
        known = find_known_artists(plan.model.bundle, plan.query.history)
        left_out = known if exclude_known else NO_TRACKS
        tracks = gather_relevant(plan.model.bundle, plan.query, plan.policy, left_out)
        numbers = np.flatnonzero(tracks.artist != UNKNOWN_ID)
        groups = rank_groups(tracks.artist[numbers], numbers, tracks.relevance, ARTIST_TRACKS, request.limit)
        is_known = set(known.tolist())
        cards = artist_cards([group.id for group in groups])
        return _RankedGroups(tracks, groups, {i: card | {"known": i in is_known} for i, card in cards.items()})

    return _recommend_groups("artists", request, context, client_etags, rank)


def recommend_genres(request: RecommendationRequest, context: RequestContext, client_etags: str = "") -> Recommendation:
    """Answer with the genres of the most relevant tracks for a listener, known and new ones.

    Args:
        request: of the kind "personal"; its limit is the number of genres.
        client_etags: see `recommend`.
    """
    request = request._replace(exclude_played=False)

    def rank(plan: SlatePlan) -> _RankedGroups:
        tracks = gather_relevant(plan.model.bundle, plan.query, plan.policy)
        track_ids = tracks.track_ids[:GENRE_CANDIDATES].tolist()
        rows = load_genres_of_tracks(track_ids)
        number = {track_id: n for n, track_id in enumerate(track_ids)}
        genre = np.array([tag_id for tag_id, _, _ in rows], np.int64)
        positions = np.array([number[track_id] for _, _, track_id in rows], np.int64)
        groups = rank_groups(genre, positions, tracks.relevance, GENRE_TRACKS, request.limit)
        facts = {
            tag_id: {"tag_id": tag_id, "name": name, "tracks_path": f"/recommend/genre/{tag_id}"}
            for tag_id, name, _ in rows
        }
        return _RankedGroups(tracks, groups, facts)

    return _recommend_groups("genres", request, context, client_etags, rank)


def recommend_similar_artists(
    artist_id: int, request: RecommendationRequest, context: RequestContext, client_etags: str = ""
) -> Recommendation:
    """Answer with the artists whose tracks are the nearest to those of an artist.

    Args:
        artist_id: the artist.
        request: of the kind "similar", without a track; its limit is the number of artists.
        client_etags: see `recommend`.
    """
    model = model_for(request, context)
    dependencies = dependencies_of(request, model, context.policies["similar"], context)

    def compute() -> CachedResponse:
        artists = find_similar_artists(artist_id, request.limit, context, request.market, request.explicit)
        cards = artist_cards([artist.artist_id for artist in artists])
        results = [
            cards[artist.artist_id]
            | {
                "score": round(1 - artist.distance, 6),
                "tracks": [orjson.Fragment(song.card.json + b"}") for song in artist.songs[:EXAMPLES]],
            }
            for artist in artists
            if artist.artist_id in cards
        ]
        head = {"model_version": model.bundle.version, "degraded": model.problem is not None}
        return _render(head, results, "similar", dependencies, context)

    return _answer(("similar artists", artist_id, request), dependencies, context, client_etags, compute)


def _recommend_groups(
    name: str,
    request: RecommendationRequest,
    context: RequestContext,
    client_etags: str,
    rank: Callable[[SlatePlan], _RankedGroups],
) -> Recommendation:
    model = model_for(request, context)
    policy = assign_policy(request, context)
    dependencies = dependencies_of(request, model, policy, context)

    def compute() -> CachedResponse:
        plan = plan_slate(request, context, model, policy)
        for _ in range(MAX_ATTEMPTS):
            ranked = rank(plan)
            shown = {track_id for group in ranked.groups for track_id in ranked.examples(group)}
            cards = plan.filters.available(list(shown))
            if not (gone := shown - cards.keys()):
                break
            unavailable_tracks.expire()
            plan = replace(plan, query=replace(plan.query, gone=np.append(plan.query.gone, list(gone))))
        head = _describe(plan, model)
        return _render(
            head, _describe_groups(plan, ranked, cards, context), plan.policy.main_source, dependencies, context
        )

    return _answer((name, request), dependencies, context, client_etags, compute)


def _describe(plan: SlatePlan, model: LoadedModel) -> dict[str, Any]:
    return {
        "model_version": model.bundle.version,
        "degraded": model.problem is not None,
        "fallback_reason": model.problem or plan.fallback_reason,
        "policy": plan.policy.label,
    }


def _describe_groups(
    plan: SlatePlan, ranked: _RankedGroups, cards: Mapping[int, TrackCard], context: RequestContext
) -> list[dict[str, Any]]:
    """Return the JSON of the groups of which there are tracks to show, each with the reason of its best track."""
    tracks, shown = ranked.tracks, []
    for group in ranked.groups:
        examples = [number for number in group.tracks[:EXAMPLES] if int(tracks.track_ids[number]) in cards]
        if examples and group.id in ranked.facts:
            shown.append((group, examples))
    ranking = Ranking([tracks.pick(examples[0]) for _, examples in shown], blends=tracks.blends)
    reasons = explain_picks(plan.model.bundle, plan.query, ranking, cards, context.revisions.catalogue)
    results = []
    for group, examples in shown:
        track_ids = tracks.track_ids[examples].tolist()
        results.append(
            ranked.facts[group.id]
            | {
                "score": round(group.score, 6),
                "explanation": reasons[track_ids[0]],
                "tracks": [orjson.Fragment(cards[track_id].json + b"}") for track_id in track_ids],
            }
        )
    return results


def _render(
    head: dict[str, Any], results: list[dict[str, Any]], strategy: str, dependencies: Any, context: RequestContext
) -> CachedResponse:
    body = head | {"results": [result | {"position": n} for n, result in enumerate(results, 1)]}
    etag = blake2b(orjson.dumps(body), digest_size=12).hexdigest()
    return CachedResponse(
        dependencies=dependencies,
        revisions=context.revisions,
        etag=f'W/"{etag}"',
        strategy=strategy,
        body=orjson.dumps({"generated_at": timezone.now()} | body, option=orjson.OPT_UTC_Z),
        expires_at=time.time() + settings.MUSICREC["RESULTS_SECONDS"],
        delivered=False,
    )


def _answer(
    key: tuple[Any, ...],
    dependencies: tuple[Any, ...],
    context: RequestContext,
    client_etags: str,
    compute: Callable[[], CachedResponse],
) -> Recommendation:
    response, origin = response_cache.get_or_compute(key, dependencies, context.revisions, compute)
    if response.etag not in client_etags:
        response_cache.deliver(key, response)
    return Recommendation(response, cached=origin != "miss")
