"""Compute ahead what listeners will ask for: of all who are active after a publication, and of those who play.

In batches that end: each is a task of its own, so that nothing else waits for more than one of them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from common.stale_listeners import pop_stale_listeners
from engine.pipeline import POPULAR, Ranking
from interactions.selectors import recently_active_listeners
from recommendations import metrics
from recommendations.serving.model_cache import model_cache
from recommendations.serving.precomputed import MAX_PICKS, Made, is_enabled, store_rankings
from recommendations.serving.recommender import Making, RecommendationRequest, RequestOptions, ranked
from recommendations.serving.request_context import load_contexts
from recommendations.version_store import version_in_service

BATCH = 1000  # listeners
ACTIVE = timedelta(days=30)


@dataclass(frozen=True)
class Progress:
    """How far it is. version: of which · after: the last listener's id · done: listeners."""

    version: str
    after: int = 0
    done: int = 0


def precompute_active(place: Progress) -> Progress | None:
    """A batch of the listeners who were active lately; the next place, or None where there is nothing more to do, for
    another version is in service by now, too."""
    left = settings.MUSICREC["AHEAD_LISTENERS"] - place.done
    if not is_enabled() or left < 1 or version_in_service() != place.version:
        return None
    listeners = recently_active_listeners(timezone.now() - ACTIVE, place.after, min(BATCH, left))
    precompute_rankings(listeners)
    return Progress(place.version, listeners[-1], place.done + len(listeners)) if len(listeners) == BATCH else None


def precompute_stale() -> int:
    """A batch of those whose plays have changed since; gives how many."""
    if not is_enabled():
        return 0
    listeners = pop_stale_listeners(BATCH)
    precompute_rankings(listeners)
    return len(listeners)


def precompute_rankings(listeners: Collection[int]) -> None:
    """Those who are served by the model; of the others the answer is found as quickly as looked up."""
    model_cache.check_pointer()  # a worker's child may not have noticed yet
    request = RequestOptions(limit=MAX_PICKS)
    makings = [
        Making.of(RecommendationRequest("personal", request, i), asked) for i, asked in load_contexts(listeners).items()
    ]
    by_model = ranked(m for m in makings if m.policy is not POPULAR)
    rankings: dict[Made, Ranking] = {(m.question.listener or 0, m.made_of): m.known for m in by_model if m.known}
    store_rankings(rankings)
    metrics.precomputed_rankings.inc(len(rankings))
