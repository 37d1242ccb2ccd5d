"""Alarms: a failure in the background leaves a row for the operator, a log line and a metric."""

import logging
from collections.abc import Collection
from datetime import datetime

from django.db import Error, transaction
from django.db.models import F
from django.utils import timezone

from common.database_connections import release_connections
from recommendations import metrics
from recommendations.models import Alarm
from webhooks.models import WebhookEventType
from webhooks.services import announce

WEBHOOK_FAILING = "webhook_failing"
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
                    alarm = Alarm.objects.create(kind=kind, subject=subject[:128], message=message)
                    _announce(WebhookEventType.ALARM_RAISED, alarm, raised_at=alarm.first_at)
            return
        except Error as error:  # another process has just created the same alarm, or the connection was lost
            logger.warning("alarm kind=%s could not be stored%s: %s", kind, "" if is_last else " yet", error)
            release_connections()


def resolve_alarms(kind: str, *, except_subjects: Collection[str] = ()) -> None:
    """Close the open alarms of a kind. Never raises."""
    try:
        for alarm in Alarm.objects.filter(kind=kind, resolved_at=None).exclude(subject__in=except_subjects):
            with transaction.atomic():
                now = timezone.now()
                # Another process may resolve it at the same time; the one that changes the row announces it.
                if Alarm.objects.filter(pk=alarm.pk, resolved_at=None).update(resolved_at=now):
                    _announce(WebhookEventType.ALARM_RESOLVED, alarm, raised_at=alarm.first_at, resolved_at=now)
    except Error:
        logger.warning("alarms kind=%s could not be resolved", kind, exc_info=True)


def _announce(event_type: WebhookEventType, alarm: Alarm, **times: datetime) -> None:
    """Tell webhooks about an alarm, unless it is about a webhook: that could go on without an end."""
    if alarm.kind != WEBHOOK_FAILING:
        about = {"alarm_id": alarm.pk, "kind": alarm.kind, "subject": alarm.subject, "message": alarm.message}
        announce(event_type, about | times)
