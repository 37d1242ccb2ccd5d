"""Answer what to hear next."""

from experiments.exposures.log import slate_log
from recommendations import metrics
from recommendations.serving.recommender import Making, RecommendationRequest
from recommendations.serving.request_context import RequestContext
from recommendations.serving.response_cache import CachedResponse, response_cache


def spans(asked: RequestContext, found: CachedResponse, seconds: float) -> dict[str, float | str]:
    """Where the time of an answer went, in seconds by name; and whether it was kept."""
    return {"db": asked.seconds, "cache": "miss" if found.fresh else "hit", "answer": seconds}


def answer(question: RecommendationRequest, asked: RequestContext, had: str = "") -> CachedResponse:
    """The answer that is kept, or one made now. had: ETags of answers that the caller has; of those no slate is noted,
    for they go on showing it under the id it came with. Raises UnknownTrack."""
    making = Making.of(question, asked)
    found = response_cache.answer(question, making.made_of, asked.state, making.answer)
    count(making, found)
    if found.fresh and found.etag in had:
        response_cache.unseen(question, found)
    elif found.fresh:
        note(found)
        response_cache.seen(question, found)
    return found


def count(making: Making, found: CachedResponse) -> None:
    metrics.answers.labels(found.strategy, str(making.loaded.problem is not None).lower()).inc()


def note(found: CachedResponse) -> None:
    """Somebody gets to see it: its slate is kept, if one is to be."""
    if found.shown is not None:
        slate_log.add(found.shown)
