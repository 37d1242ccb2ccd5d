"""Notice runs that were killed, and scheduled runs that were missed."""

import logging
from datetime import timedelta

from django.conf import settings
from django.core.cache import cache
from django.db.models import QuerySet
from django.utils import timezone
from filelock import FileLock, Timeout

from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.models import Alarm, TrainingRun, TuningStudy
from recommendations.training.schedule import is_training_or_tuning, missed_training_since
from recommendations.version_store import version_store

logger = logging.getLogger(__name__)
OVERDUE = "training_overdue"
REPEAT_SECONDS = 600  # a message may be lost with the broker: how long to wait before sending another one
CHILD_STARTS_WITHIN = timedelta(minutes=10)  # without a broker, also on a busy machine
RunningRows = QuerySet[TrainingRun] | QuerySet[TuningStudy]


def notice_killed_runs() -> int:
    """Close the rows of training runs and studies whose process was killed, with an alarm; return their number.

    A process holds a lock for as long as it trains, which the kernel releases when it dies. So a row that counts as
    running while nobody holds the lock is that of a killed process. Runs that were requested and have not begun for
    very long are closed as well.
    """
    lost_after = timedelta(days=1) if settings.CELERY_BROKER_URL else CHILD_STARTS_WITHIN
    close_waiting_runs(
        TrainingRun.objects.filter(started_at__lt=timezone.now() - lost_after),
        "the run has not begun: its message or its process was lost",
    )
    return _notice_killed(
        TrainingRun.objects.filter(status=TrainingRun.Status.RUNNING),
        "training.lock",
        "training_failed",
        TrainingRun.Status.FAILED,
    ) + _notice_killed(
        TuningStudy.objects.filter(status=TuningStudy.Status.RUNNING),
        "tuning.lock",
        "tuning_failed",
        TuningStudy.Status.INTERRUPTED,
    )


def close_waiting_runs(runs: QuerySet[TrainingRun], detail: str) -> None:
    """Close those of the runs that are waiting, without an alarm: nobody but who requested them misses them."""
    waiting = runs.filter(status=TrainingRun.Status.WAITING)
    waiting.update(status=TrainingRun.Status.FAILED, finished_at=timezone.now(), detail=detail)


def _notice_killed(running: RunningRows, lock_name: str, alarm: str, status: str) -> int:
    # The rows are listed before the lock is tried: a run that begins later is not among them.
    rows = list(running)
    if not rows:
        return 0
    root = version_store().root
    root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / lock_name, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return 0
    lock.release()
    return close_killed_rows(running.filter(pk__in=[row.pk for row in rows]), alarm, status)


def close_killed_rows(running: RunningRows, alarm: str, status: str) -> int:
    """Close the rows of killed processes, with one alarm for each; return their number."""
    killed = 0
    for row in running:
        # Another process may close the same row now; the one that changes it raises the alarm.
        closed = running.filter(pk=row.pk).update(
            status=status, finished_at=timezone.now(), detail="the process was killed"
        )
        if closed:
            killed += 1
            raise_alarm(
                alarm,
                "",
                f"the process of {row._meta.verbose_name} {row.pk} ({row}, on {row.host or 'an unknown host'}) was "
                "killed, perhaps because memory ran out; the version in service is not affected",
            )
    return killed


def claim_missed_training() -> bool:
    """Raise an alarm if a scheduled training run was missed; return whether the caller should start it now.

    Of several callers within REPEAT_SECONDS one is told to start it. A run that is started twice nevertheless does
    nothing the second time, see `duplicate_of_training`. While another run or a study is in progress, the message may
    wait behind it: then an alarm is neither raised nor resolved.
    """
    due_at = missed_training_since()
    if due_at is None:
        resolve_alarms(OVERDUE)
        return False
    if is_training_or_tuning():
        return False
    if not Alarm.objects.filter(kind=OVERDUE, resolved_at=None).exists():
        raise_alarm(
            OVERDUE,
            "",
            f"the training run that was due at {due_at:%Y-%m-%d %H:%M} UTC has not begun; it is made up as soon as the "
            "broker and a worker of the queue `training` run",
        )
    return cache.add(f"{OVERDUE}:{due_at:%Y%m%dT%H%M}", 1, REPEAT_SECONDS)
