"""Compare the schedule, in the tables of django-celery-beat, with the scheduled runs that have begun.

Beat forgets a run if the broker does not answer when it is due, and if beat itself returns more than two hours later.
With a second beat every message is sent twice.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Q
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from recommendations.models import TrainingRun, TuningStudy

SCHEDULE = "schedule"  # the trigger of scheduled runs
TRAINING_TASK, TUNING_TASK = "recommendations.train_model", "recommendations.tune_model"
CLOCK_TOLERANCE = timedelta(minutes=5)  # between the clocks of two hosts, and between the messages of two beats
GRACE = timedelta(minutes=10)  # how long a message may be under way


def duplicate_of_training() -> TrainingRun | None:
    """Return the scheduled run that has begun since the schedule was last due, so that another one is not needed."""
    newest = TrainingRun.objects.filter(trigger=SCHEDULE).order_by("-started_at").first()
    return newest if newest and not _is_due_since(TRAINING_TASK, newest.started_at) else None


def duplicate_of_tuning() -> TuningStudy | None:
    """Return the scheduled study that has begun since the schedule was last due, unless it was killed.

    The caller holds the lock of studies, so that the process of a study that says *running* was killed too.
    """
    newest = TuningStudy.objects.filter(trigger=SCHEDULE).order_by("-started_at").first()
    if newest is None or newest.status in (TuningStudy.Status.RUNNING, TuningStudy.Status.INTERRUPTED):
        return None
    return newest if not _is_due_since(TUNING_TASK, newest.started_at) else None


def missed_training_since() -> datetime | None:
    """Return when a scheduled training run was due that has not begun; None if there is no such run.

    A successful run with another trigger counts too. Without a broker there is no schedule. A run that should happen
    once is not counted: beat sends its message whenever it returns.
    """
    if not settings.CELERY_BROKER_URL:
        return None
    counts = Q(trigger=SCHEDULE) | Q(status__in=[TrainingRun.Status.PUBLISHED, TrainingRun.Status.UNCHANGED])
    newest = TrainingRun.objects.filter(counts).order_by("-started_at").first()
    began_at = newest.started_at if newest else _installed_at()
    due_at = _next_due(TRAINING_TASK, began_at) if began_at else None
    return due_at if due_at and due_at + GRACE < timezone.now() else None


def is_training_or_tuning() -> bool:
    """Return whether a run or a study is in progress, behind which the message of a scheduled run may wait."""
    running_studies = TuningStudy.objects.filter(status=TuningStudy.Status.RUNNING)
    return TrainingRun.objects.filter(status=TrainingRun.Status.RUNNING).exists() or running_studies.exists()


def _is_due_since(task: str, began_at: datetime) -> bool:
    """Return whether the schedule is due again since a run began; True if the schedule is not that of the database."""
    due_by = timezone.now() + CLOCK_TOLERANCE
    due_at = _next_due(task, began_at)
    if due_at is None or due_at <= due_by:
        return True
    # The message of a one-off task looks like a duplicate. Beat disables the row after it has sent the message.
    is_due_once = Q(clocked__clocked_time__range=(began_at + CLOCK_TOLERANCE, due_by)) | (
        Q(clocked=None) & (Q(enabled=True) | Q(date_changed__gt=began_at))
    )
    one_off_is_due: bool = PeriodicTask.objects.filter(is_due_once, task=task, one_off=True).exists()
    return one_off_is_due


def _next_due(task: str, began_at: datetime) -> datetime | None:
    """Return when the task is due next after a run that began at this time; None if it has no recurring schedule."""
    now = timezone.now()
    rows = PeriodicTask.objects.filter(Q(expires=None) | Q(expires__gt=now), task=task, enabled=True, one_off=False)
    due_times = []
    for row in rows.select_related("crontab", "interval"):
        after, start_time = began_at, row.start_time or began_at
        if row.crontab:  # the run of 3:00 may have begun a moment before 3:00; one that starts at 3:00 is due then
            after = max(began_at + CLOCK_TOLERANCE, start_time - timedelta(seconds=1)).astimezone(row.crontab.timezone)
        due_at = timezone.now() + row.schedule.remaining_estimate(after)  # some microseconds before or after the second
        due_at = (due_at + timedelta(seconds=0.5)).replace(microsecond=0)
        due_times.append(max(due_at, start_time))
    return min(due_times, default=None)


def _installed_at() -> datetime | None:
    """Return when the tables were made: before that, no run was due."""
    migration = MigrationRecorder(connection).migration_qs.filter(app="recommendations", name="0001_initial").first()
    return migration.applied if migration else None
