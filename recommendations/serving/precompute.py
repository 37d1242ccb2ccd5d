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
from recommendations.serving.model_cache import cache
from recommendations.serving.precomputed import MOST_PICKS, Made, is_kept, keep_ahead
from recommendations.serving.recommender import Making, Question, Request, ranked
from recommendations.serving.request_context import asked_about
from recommendations.training.publish import version_in_service

BATCH = 1000  # listeners
ACTIVE = timedelta(days=30)


@dataclass(frozen=True)
class Place:
    """How far it is. version: of which · after: the last listener's id · done: listeners."""

    version: str
    after: int = 0
    done: int = 0


def warm_active(place: Place) -> Place | None:
    """A batch of the listeners who were active lately; the next place, or None where there is nothing more to do, for
    another version is in service by now, too."""
    left = settings.MUSICREC["AHEAD_LISTENERS"] - place.done
    if not is_kept() or left < 1 or version_in_service() != place.version:
        return None
    listeners = recently_active_listeners(timezone.now() - ACTIVE, place.after, min(BATCH, left))
    warm(listeners)
    return Place(place.version, listeners[-1], place.done + len(listeners)) if len(listeners) == BATCH else None


def warm_changed() -> int:
    """A batch of those whose plays have changed since; gives how many."""
    if not is_kept():
        return 0
    listeners = pop_stale_listeners(BATCH)
    warm(listeners)
    return len(listeners)


def warm(listeners: Collection[int]) -> None:
    """Those who are served by the model; of the others the answer is found as quickly as looked up."""
    cache.look()  # a worker's child may not have noticed yet
    request = Request(limit=MOST_PICKS)
    makings = [Making.of(Question("personal", request, i), asked) for i, asked in asked_about(listeners).items()]
    by_model = ranked(m for m in makings if m.policy is not POPULAR)
    rankings: dict[Made, Ranking] = {(m.question.listener or 0, m.made_of): m.known for m in by_model if m.known}
    keep_ahead(rankings)
    metrics.rankings_ahead.inc(len(rankings))
