"""Scheduled runs that were missed are made up once, and killed ones are noticed."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

from musicrec.processes import ROOT
from recommendations import tasks
from recommendations.models import Alarm, TrainingRun, TuningStudy
from recommendations.training.run import run_training
from recommendations.training.schedule import missed_training_since
from recommendations.training.tuning import run_tuning
from recommendations.training.watch import claim_missed_training, notice_killed_runs
from tests.people import CatalogueFactory
from tests.play_files import write_checkerboard_csv
from tests.stack import Stack, new_stack

Status = TrainingRun.Status


@pytest.fixture
def plays(catalogue: CatalogueFactory) -> None:
    catalogue.checkerboard()


@pytest.fixture
def now() -> datetime:
    """Return the current minute: that of the test, as this module may have been imported much earlier."""
    return timezone.now().replace(second=0, microsecond=0)


@pytest.fixture(autouse=True)
def _schedules(db: None, settings: Any) -> None:
    """Schedule training and tuning, and nothing else; a test that empties the tables deletes the rows of migrations."""
    settings.CELERY_BROKER_URL = settings.CELERY_BROKER_URL or "memory://"
    PeriodicTask.objects.all().delete()
    for migration in ("0002_nightly_schedule", "0004_weekly_tuning"):
        import_module(f"recommendations.migrations.{migration}").add(apps, None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the messages that would be sent to a worker."""
    messages: list[Any] = []
    monkeypatch.setattr(tasks.train_model, "apply_async", lambda arguments, **options: messages.append(arguments))
    return messages


def schedule_training(**crontab: str) -> None:
    row, _ = CrontabSchedule.objects.get_or_create(**({"minute": "0", "hour": "3", "timezone": "UTC"} | crontab))
    PeriodicTask.objects.filter(name="Nightly training").update(crontab=row)


def schedule_training_at(moment: datetime) -> None:
    """Schedule training every day at the time of this moment."""
    schedule_training(minute=str(moment.minute), hour=str(moment.hour))


def create_run(started_at: datetime, status: str = Status.PUBLISHED, trigger: str = "schedule") -> TrainingRun:
    run = TrainingRun.objects.create(trigger=trigger, status=status, finished_at=started_at)
    TrainingRun.objects.filter(pk=run.pk).update(started_at=started_at)
    return run


@pytest.mark.parametrize(
    ("due_ago", "last_ago", "is_missed"),
    [
        pytest.param(timedelta(hours=1), timedelta(hours=25), True, id="yesterday's began, today's did not"),
        pytest.param(timedelta(hours=1), timedelta(hours=1), False, id="today's began"),
        pytest.param(timedelta(hours=1), timedelta(minutes=63), False, id="today's began by a clock that is slow"),
        pytest.param(timedelta(minutes=5), timedelta(hours=24), False, id="its message may be under way"),
        pytest.param(timedelta(hours=-1), timedelta(hours=23), False, id="not due yet"),
        pytest.param(timedelta(hours=-1), timedelta(hours=47), True, id="yesterday's did not begin"),
    ],
)
def test_a_scheduled_run_is_missed_if_none_began_since_it_was_due(
    now: datetime, due_ago: timedelta, last_ago: timedelta, is_missed: bool
) -> None:
    due_at = now - due_ago
    schedule_training_at(due_at)
    create_run(now - last_ago)
    expected = due_at if due_ago > timedelta(0) else due_at - timedelta(days=1)
    assert missed_training_since() == (expected if is_missed else None)


@pytest.mark.parametrize(
    ("status", "trigger", "is_missed"),
    [
        (Status.PUBLISHED, "command", False),
        (Status.UNCHANGED, "admin", False),
        (Status.FAILED, "command", True),
        (Status.FAILED, "schedule", False),  # it has an alarm of its own
    ],
)
def test_a_successful_run_with_another_trigger_replaces_a_scheduled_one(
    now: datetime, status: str, trigger: str, is_missed: bool
) -> None:
    schedule_training_at(now - timedelta(hours=2))
    create_run(now - timedelta(hours=26))
    create_run(now - timedelta(hours=1), status, trigger)
    assert (missed_training_since() is not None) is is_missed


def test_nothing_is_missed_without_a_schedule_or_without_a_broker(now: datetime, settings: Any) -> None:
    schedule_training_at(now - timedelta(hours=1))
    create_run(now - timedelta(hours=25))
    assert missed_training_since() is not None
    PeriodicTask.objects.filter(name="Nightly training").update(enabled=False)
    assert missed_training_since() is None
    PeriodicTask.objects.filter(name="Nightly training").update(enabled=True)
    settings.CELERY_BROKER_URL = ""
    assert missed_training_since() is None


@pytest.mark.parametrize(
    ("period", "is_missed"),
    [
        pytest.param({"expires": timedelta(minutes=-1)}, False, id="expired"),
        pytest.param({"expires": timedelta(hours=1)}, True, id="expires later"),
        pytest.param({"start_time": timedelta(minutes=-30)}, False, id="started after it would have been due"),
        pytest.param({"start_time": timedelta(hours=-1)}, True, id="started when it was due"),
        pytest.param({"start_time": timedelta(days=2)}, False, id="starts later"),
        pytest.param({"one_off": True}, False, id="one-off"),
    ],
)
def test_a_run_is_missed_only_between_the_start_and_the_end_of_its_schedule(
    now: datetime, period: dict[str, Any], is_missed: bool
) -> None:
    period = {name: now + value if isinstance(value, timedelta) else value for name, value in period.items()}
    schedule_training_at(now - timedelta(hours=1))
    PeriodicTask.objects.filter(name="Nightly training").update(**period)
    create_run(now - timedelta(days=9))
    assert (missed_training_since() is not None) is is_missed


@pytest.mark.parametrize(("starts_ago", "is_missed"), [(timedelta(minutes=30), True), (-timedelta(hours=1), False)])
def test_an_interval_is_due_at_its_start_time(now: datetime, starts_ago: timedelta, is_missed: bool) -> None:
    hourly, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    start_time = now - starts_ago
    PeriodicTask.objects.filter(name="Nightly training").update(crontab=None, interval=hourly, start_time=start_time)
    create_run(now - timedelta(days=1))
    assert missed_training_since() == (start_time if is_missed else None)


def test_nothing_was_missed_before_the_installation(now: datetime) -> None:
    schedule_training_at(now - timedelta(hours=1))
    assert missed_training_since() is None


def test_the_schedule_is_that_of_its_time_zone() -> None:
    noon_in_tokyo = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0)
    schedule_training(hour="12", timezone="Asia/Tokyo")
    create_run(noon_in_tokyo - timedelta(days=3))
    assert missed_training_since() == noon_in_tokyo - timedelta(days=2)


def test_a_missed_run_is_an_alarm_and_is_started_once_whoever_notices(
    now: datetime, plays: None, sent: list[Any]
) -> None:
    cache.clear()
    schedule_training_at(now - timedelta(hours=1))
    create_run(now - timedelta(hours=25))
    for _ in range(3):  # by beat and by each web process
        tasks.watch_training()
    assert sent == [["schedule"]]
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.count, alarm.resolved_at) == ("training_overdue", 1, None)
    due_at = f"{now - timedelta(hours=1):%Y-%m-%d %H:%M}"
    assert alarm.message.startswith(f"the training run that was due at {due_at} UTC has not begun; ")

    assert tasks.train_model("schedule").startswith("Published: ")
    assert tasks.train_model("schedule").startswith("Not due: a scheduled run began at ")  # of another beat
    tasks.watch_training()
    assert sent == [["schedule"]]
    assert Alarm.objects.get().resolved_at is not None
    assert TrainingRun.objects.filter(started_at__gte=now - timedelta(hours=24)).count() == 1


def test_the_alarm_stays_open_during_a_study(now: datetime) -> None:
    cache.clear()
    schedule_training_at(now - timedelta(hours=1))
    create_run(now - timedelta(hours=25))
    study = TuningStudy.objects.create(trigger="admin", budget_seconds=1)
    assert claim_missed_training() is False
    assert Alarm.objects.count() == 0  # the message may wait behind the study
    study.delete()
    assert claim_missed_training() is True
    TuningStudy.objects.create(trigger="admin", budget_seconds=1)
    assert claim_missed_training() is False
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.count, alarm.resolved_at) == ("training_overdue", 1, None)
    create_run(now, Status.FAILED)  # the scheduled run has begun
    assert claim_missed_training() is False
    assert Alarm.objects.get().resolved_at is not None


def test_a_run_is_due_again_on_the_next_night(now: datetime, plays: None) -> None:
    schedule_training_at(now)
    create_run(now - timedelta(days=1))
    assert tasks.train_model("schedule").startswith("Published: ")


def test_other_schedules_are_respected(now: datetime, plays: None) -> None:
    hourly, _ = IntervalSchedule.objects.get_or_create(every=1, period="hours")
    PeriodicTask.objects.create(name="Hourly", task="recommendations.train_model", interval=hourly)
    create_run(now - timedelta(minutes=30))
    assert tasks.train_model("schedule").startswith("Not due: ")
    create_run(timezone.now() - timedelta(minutes=59, seconds=58))  # its message was under way for two seconds longer
    TrainingRun.objects.filter(started_at__gte=now - timedelta(minutes=31)).delete()
    assert tasks.train_model("schedule").startswith("Published: ")


@pytest.mark.parametrize("is_disabled_already", [False, True])
@pytest.mark.parametrize("kind", ["clocked", "crontab"])
def test_a_one_off_run_is_no_duplicate_of_the_nightly_one(
    now: datetime, plays: None, kind: str, is_disabled_already: bool
) -> None:
    schedule_training_at(now - timedelta(hours=2))
    create_run(now - timedelta(hours=2))
    clocked, _ = ClockedSchedule.objects.get_or_create(clocked_time=now)
    crontab, _ = CrontabSchedule.objects.get_or_create(minute=now.minute, hour=now.hour, timezone="UTC")
    PeriodicTask.objects.create(
        name="Once",
        task="recommendations.train_model",
        one_off=True,
        enabled=not is_disabled_already,
        **({"clocked": clocked} if kind == "clocked" else {"crontab": crontab}),
    )
    assert tasks.train_model("schedule").startswith("Published: ")


@pytest.mark.parametrize("clocked_ago", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clocked_task_that_has_begun_or_is_due_later_does_not_make_others_due(
    now: datetime, clocked_ago: timedelta
) -> None:
    schedule_training_at(now - timedelta(hours=2))
    clocked, _ = ClockedSchedule.objects.get_or_create(clocked_time=now - clocked_ago)
    PeriodicTask.objects.create(name="Once", task="recommendations.train_model", one_off=True, clocked=clocked)
    create_run(now - timedelta(minutes=59))
    assert tasks.train_model("schedule").startswith("Not due: ")
    assert missed_training_since() is None


def test_runs_by_command_and_from_the_admin_are_always_due(plays: None) -> None:
    create_run(timezone.now())
    assert [run_training(trigger).status for trigger in ("command", "admin")] == ["Published", "Unchanged"]


def test_a_second_beat_does_not_repeat_a_finished_study() -> None:
    TuningStudy.objects.create(trigger="schedule", budget_seconds=1, status="no_better", finished_at=timezone.now())
    assert run_tuning("schedule").status == "Not due"
    assert TuningStudy.objects.count() == 1


KILL = """
import os, signal
from recommendations.training import {module}
def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
{module}.{function} = die
{module}.{start}("killed")
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = new_stack(tmp_path_factory.mktemp("watched"))
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    return stack


ROWS = """
from recommendations.models import Alarm, TrainingRun, TuningStudy
from recommendations.tasks import watch_training
watch_training()
print([(r.status, r.detail) for m in (TrainingRun, TuningStudy) for r in m.objects.filter(trigger="killed")])
print([(a.kind, a.count, a.message.split(" (")[0]) for a in Alarm.objects.filter(resolved_at=None)])
"""


@pytest.mark.slow
def test_a_killed_run_and_a_killed_study_are_noticed_without_another_run(stack: Stack) -> None:
    for module, function, start in (("run", "train", "run_training"), ("tuning", "tune", "run_tuning")):
        code = KILL.format(module=module, function=function, start=start)
        assert stack.manage("shell", "--verbosity", "0", "--command", code, check=False).returncode == -signal.SIGKILL
    rows, alarms = stack.run_python(ROWS).splitlines()
    assert rows == "[('failed', 'the process was killed'), ('interrupted', 'the process was killed')]"
    assert "('training_failed', 1, 'the process of training run 1')" in alarms
    assert "('tuning_failed', 1, 'the process of tuning study 1')" in alarms
    assert stack.run_python(ROWS).splitlines() == [rows, alarms]  # each is reported once
    assert stack.manage("train_model").returncode == 0
    assert "training_failed" not in stack.run_python(ROWS)


TRAIN_SLOWLY = """
import time
from recommendations.training import run
def sleep(*args, **options):
    print("training", flush=True)
    time.sleep(60)
run.train = sleep
run.run_training("asleep", force=True)
"""


@pytest.mark.slow
def test_a_run_in_progress_is_not_taken_for_a_killed_one(stack: Stack) -> None:
    with subprocess.Popen(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "--command", TRAIN_SLOWLY],
        env=stack.environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        stack.run_python("from recommendations.tasks import watch_training; watch_training()")
        status = "from recommendations.models import TrainingRun as T; print(T.objects.get(trigger='asleep').status)"
        assert stack.run_python(status) == "running"
        process.kill()
        process.wait()
        stack.run_python("from recommendations.tasks import watch_training; watch_training()")
        assert stack.run_python(status) == "failed"


def test_the_watch_ignores_rows_of_runs_that_begin_meanwhile(plays: None) -> None:
    assert notice_killed_runs() == 0
    create_run(timezone.now(), Status.FAILED)
    assert notice_killed_runs() == 0
    assert Alarm.objects.count() == 0
