import logging

from celery import shared_task
from kombu.exceptions import OperationalError

from recommendations import services
from recommendations.serving.tasks import precompute_active, precompute_stale, served_version
from recommendations.training.schedule import SCHEDULE
from recommendations.training.watch import claim_missed_training, notice_killed_runs

logger = logging.getLogger(__name__)
MINUTE, HOUR = 60, 3600


@shared_task(name="recommendations.train_model", time_limit=6 * HOUR)  # type: ignore[untyped-decorator]
def train_model(trigger: str = "schedule") -> str:
    return str(services.train_model(trigger))


@shared_task(name="recommendations.tune_model", time_limit=12 * HOUR)  # type: ignore[untyped-decorator]
def tune_model(trigger: str = "schedule") -> str:
    return str(services.tune_model(trigger))


@shared_task(name="recommendations.watch_training", time_limit=5 * MINUTE)  # type: ignore[untyped-decorator]
def watch_training() -> None:
    """Raise alarms for runs that were killed or missed, and start those that were missed."""
    notice_killed_runs()
    if claim_missed_training():
        try:
            train_model.apply_async([SCHEDULE], retry=False, expires=HOUR)
        except OperationalError as error:
            logger.warning("the missed training run is not started yet: %s", error)


__all__ = ["precompute_active", "precompute_stale", "served_version", "train_model", "tune_model", "watch_training"]
