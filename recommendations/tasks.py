from celery import shared_task

from recommendations import services
from recommendations.mixes.tasks import make_mixes
from recommendations.serving.tasks import precompute_active, precompute_stale, served_version

MINUTE, HOUR = 60, 3600


@shared_task(name="recommendations.train_model", time_limit=6 * HOUR)  # type: ignore[untyped-decorator]
def train_model(trigger: str = "schedule", waiting_run: int | None = None) -> str:
    return str(services.train_model(trigger, waiting_run=waiting_run))


@shared_task(name="recommendations.tune_model", time_limit=12 * HOUR)  # type: ignore[untyped-decorator]
def tune_model(trigger: str = "schedule") -> str:
    return str(services.tune_model(trigger))


@shared_task(name="recommendations.watch_training", time_limit=5 * MINUTE)  # type: ignore[untyped-decorator]
def watch_training() -> None:
    services.watch_training(train_model)
    services.watch_webhooks()


__all__ = [
    "make_mixes",
    "precompute_active",
    "precompute_stale",
    "served_version",
    "train_model",
    "tune_model",
    "watch_training",
]
