"""Compute rankings before anybody asks: after a publication for active listeners, and again after their interactions.

The work is cut into batches, each a task of its own, so that other tasks wait for one batch at most.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from common.stale_listeners import pop_stale_listeners
from interactions.selectors import recently_active_listeners
from recommendations import metrics
from recommendations.serving.model_cache import model_cache
from recommendations.serving.precomputed import is_enabled, precomputed_request, store_rankings
from recommendations.serving.recommend import assign_policy, dependencies_of, model_for
from recommendations.serving.request_context import load_contexts
from recommendations.serving.slate import plan_slate, rank
from recommendations.version_store import version_in_service

BATCH = 1000  # listeners
ACTIVE = timedelta(days=30)


@dataclass(frozen=True)
class Progress:
    """How far the precomputation for a version has come.

    Attributes:
        version: the model version.
        after: the id of the last listener done.
        done: the number of listeners done.
    """

    version: str
    after: int = 0
    done: int = 0


def precompute_active(progress: Progress) -> Progress | None:
    """Precompute for the next batch of recently active listeners.

    Returns:
        The new progress; None if all are done, or if another version is in service by now.
    """
    remaining = settings.MUSICREC["AHEAD_LISTENERS"] - progress.done
    if not is_enabled() or remaining < 1 or version_in_service() != progress.version:
        return None
    listeners = recently_active_listeners(timezone.now() - ACTIVE, progress.after, min(BATCH, remaining))
    precompute_rankings(listeners)
    if len(listeners) < BATCH:
        return None
    return Progress(progress.version, listeners[-1], progress.done + len(listeners))


def precompute_stale() -> int:
    """Precompute for a batch of listeners whose interactions changed, and return their number."""
    if not is_enabled():
        return 0
    listeners = pop_stale_listeners(BATCH)
    precompute_rankings(listeners)
    return len(listeners)


def precompute_rankings(listener_ids: Collection[int]) -> None:
    """Compute and store rankings, except those of popular tracks, which are as quickly computed as looked up."""
    model_cache.check_pointer()  # a worker's child process may not have noticed a new version yet
    rankings = {}
    for listener_id, context in load_contexts(listener_ids).items():
        request = precomputed_request(listener_id)
        model = model_for(request, context)
        policy = assign_policy(request, context)
        plan = plan_slate(request, context, model, policy)
        if plan.policy.main_source != "popular":
            ranking = rank(model.bundle, plan.query, plan.policy)
            rankings[listener_id, dependencies_of(request, model, policy, context)] = ranking
    store_rankings(rankings)
    metrics.precomputed_rankings.inc(len(rankings))
