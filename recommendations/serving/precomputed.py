"""Rankings that a worker computed before anybody asked, in the cache that all processes share.

Each is stored under everything it depends on, like an answer: it is found only while it would come out the same.
"""

from collections.abc import Hashable, Mapping
from typing import Any

from django.conf import settings
from django.core.cache import cache

from common.cache_keys import cache_key
from engine.pipeline import Pick, Ranking
from recommendations.serving.request_context import RecommendationRequest

MAX_PICKS = 50


def is_enabled() -> bool:
    """Whether rankings are precomputed, and there is a shared cache to keep them in."""
    return bool(settings.REDIS_URL and settings.MUSICREC["RESULTS_SECONDS"] and settings.MUSICREC["AHEAD_LISTENERS"])


def precomputed_request(listener_id: int) -> RecommendationRequest:
    """The request that rankings are computed for."""
    return RecommendationRequest("personal", MAX_PICKS, listener_id)


def load_ranking(request: RecommendationRequest, dependencies: Hashable) -> Ranking | None:
    """Return the precomputed ranking of a request, if there is one.

    Only the options that change the ranking have to be the usual ones: not `explain`, nor `placement`. The tracks of
    the current session are among the dependencies, whether the request names it or not; so are the device and the
    activity where they count.
    """
    if request.listener_id is None or request.limit > MAX_PICKS or not is_enabled():
        return None
    usual = precomputed_request(request.listener_id)
    names = ("limit", "explain", "placement", "session_id", "device", "activity")
    free = {name: getattr(request, name) for name in names}
    if request != usual._replace(**free):
        return None
    match cache.get(cache_key("ahead", request.listener_id, dependencies)):
        case bool(repeats), dict(relaxed_at), list(picks) if all(len(pick) == len(Pick._fields) for pick in picks):
            return Ranking([Pick(*pick) for pick in picks[: request.limit]], repeats, relaxed_at)
    return None


def store_rankings(rankings: Mapping[tuple[int, tuple[Any, ...]], Ranking]) -> None:
    """Store rankings by listener id and dependencies, for as long as answers are cached."""
    entries = {
        cache_key("ahead", listener_id, dependencies): (
            ranking.repeats,
            dict(ranking.relaxed_at),
            [tuple(pick) for pick in ranking.picks],
        )
        for (listener_id, dependencies), ranking in rankings.items()
    }
    cache.set_many(entries, settings.MUSICREC["RESULTS_SECONDS"])
