from celery import shared_task

from privacy.erasure import finish_erasures

MINUTE, HOUR = 60, 3600


@shared_task(name="recommendations.erase_listeners", time_limit=2 * HOUR)  # type: ignore[untyped-decorator]
def erase_listeners() -> str:
    """Erase every listener with a pending erasure.

    The name dates from when this task lived in `recommendations`: schedules and queued messages refer to it.
    """
    return str(finish_erasures(wait=5 * MINUTE))
