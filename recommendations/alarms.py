"""Alarms: a failure in the background leaves a row for the operator, a log line and a metric."""

import logging

from django.db import Error, transaction
from django.db.models import F
from django.utils import timezone

from common.database_connections import release_connections
from recommendations import metrics
from recommendations.models import Alarm

logger = logging.getLogger(__name__)


def raise_alarm(kind: str, subject: str, message: str) -> None:
    """Open an alarm, or increase the count of the open one with this kind and subject.

    Never raises: if the database is unavailable, the log line and the metric remain.
    """
    logger.error("alarm kind=%s subject=%s %s", kind, subject, message)
    metrics.alarms.labels(kind).inc()
    for is_last in (False, True):
        try:
            with transaction.atomic():
                open_alarm = Alarm.objects.filter(kind=kind, subject=subject[:128], resolved_at=None)
                if not open_alarm.update(count=F("count") + 1, message=message, last_at=timezone.now()):
                    Alarm.objects.create(kind=kind, subject=subject[:128], message=message)
            return
        except Error as error:  # another process has just created the same alarm, or the connection was lost
            logger.warning("alarm kind=%s could not be stored%s: %s", kind, "" if is_last else " yet", error)
            release_connections()


def resolve_alarms(kind: str) -> None:
    """Close all open alarms of a kind. Never raises."""
    try:
        Alarm.objects.filter(kind=kind, resolved_at=None).update(resolved_at=timezone.now())
    except Error:
        logger.warning("alarms kind=%s could not be resolved", kind, exc_info=True)
