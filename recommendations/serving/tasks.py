"""Tasks that compute rankings ahead of requests. `recommendations.tasks` imports them, which is where Celery looks."""

from dataclasses import astuple

from celery import shared_task

from recommendations.serving import precompute
from recommendations.serving.model_cache import model_cache

MINUTE = 60


@shared_task(name="recommendations.warm_active", time_limit=10 * MINUTE)  # type: ignore[untyped-decorator]
def precompute_active(version: str, after: int = 0, done: int = 0) -> None:
    """Compute one batch, and queue the next one as a task of its own, so that nothing else waits for long."""
    if following := precompute.precompute_active(precompute.Progress(version, after, done)):
        precompute_active.delay(*astuple(following))


@shared_task(name="recommendations.warm_changed", time_limit=10 * MINUTE)  # type: ignore[untyped-decorator]
def precompute_stale() -> int:
    return precompute.precompute_stale()


@shared_task(name="recommendations.version_here", ignore_result=False)  # type: ignore[untyped-decorator]
def served_version() -> str | None:
    """Return the version that the process taking this task serves: to ask whether a worker has reloaded."""
    return model_cache.current().bundle.version
