from celery import shared_task

from experiments.engagement.roll_up import roll_up

HOUR = 3600


@shared_task(name="experiments.engagement.roll_up", time_limit=2 * HOUR)  # type: ignore[untyped-decorator]
def roll_up_engagement() -> str:
    return roll_up().detail
