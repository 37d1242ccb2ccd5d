"""What fails in the background leaves a row, a log line and a metric."""

import logging

from django.db import DatabaseError, transaction
from django.db.models import F
from django.utils import timezone

from recommendations import metrics
from recommendations.models import Alarm

logger = logging.getLogger(__name__)


def raise_alarm(kind: str, subject: str, message: str) -> None:
    """Raise an alarm, or count one up that is open. Never raises: where the database is gone, the log line is left."""
    logger.error("alarm kind=%s subject=%s %s", kind, subject, message)
    metrics.alarms.labels(kind).inc()
    try:
        with transaction.atomic():
            still_open = Alarm.objects.filter(kind=kind, subject=subject[:128], resolved_at=None)
            if not still_open.update(count=F("count") + 1, message=message, last_at=timezone.now()):
                Alarm.objects.create(kind=kind, subject=subject[:128], message=message)
    except DatabaseError:  # another process created it first, or there is no database: the log line has it
        logger.warning("alarm kind=%s could not be stored", kind, exc_info=True)


def resolve_alarms(kind: str) -> None:
    """Never raises either."""
    try:
        Alarm.objects.filter(kind=kind, resolved_at=None).update(resolved_at=timezone.now())
    except DatabaseError:
        logger.warning("alarms kind=%s could not be resolved", kind, exc_info=True)
