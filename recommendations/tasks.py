from dataclasses import astuple

from celery import shared_task

from recommendations.serving import precompute
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from recommendations.training.tuning import run_tuning

HOUR = 3600
MINUTE = 60


@shared_task(name="recommendations.train_model", time_limit=6 * HOUR)  # type: ignore[untyped-decorator]
def train_model(trigger: str = "schedule") -> str:
    return str(run_training(trigger))


@shared_task(name="recommendations.tune_model", time_limit=12 * HOUR)  # type: ignore[untyped-decorator]
def tune_model(trigger: str = "schedule") -> str:
    return str(run_tuning(trigger))


@shared_task(name="recommendations.warm_active", time_limit=10 * MINUTE)  # type: ignore[untyped-decorator]
def warm_active(version: str, after: int = 0, done: int = 0) -> None:
    """One batch, and then the next one as a task of its own."""
    if place := precompute.precompute_active(precompute.Progress(version, after, done)):
        warm_active.delay(*astuple(place))


@shared_task(name="recommendations.warm_changed", time_limit=10 * MINUTE)  # type: ignore[untyped-decorator]
def warm_changed() -> int:
    return precompute.precompute_stale()


@shared_task(name="recommendations.version_here", ignore_result=False)  # type: ignore[untyped-decorator]
def version_here() -> str | None:
    """Which version the process that takes this task serves: to ask a worker whether it has noticed."""
    return model_cache.current().bundle.version
