"""What happens to training when the broker is silent, a worker is busy, or a process is killed."""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from filelock import FileLock
from redis import Redis

from musicrec.processes import run_processes, worker_command
from tests.play_files import write_checkerboard_csv
from tests.stack import Stack, new_stack

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    stack = new_stack(tmp_path_factory.mktemp("broker"), MUSICREC_WATCH_SECONDS="3")
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    stack.manage("train_model")
    return stack


def wait_until(condition: Callable[[], Any], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)


@contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections and never answer, as a stopped process does; yield the port."""
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connections.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        for connection in connections:
            connection.close()


def test_a_silent_broker_does_not_delay_a_publication_for_long(stack: Stack) -> None:
    version = stack.run_python(
        "from recommendations.training.run import run_training; run_training('test', force=True); "
        "from recommendations.version_store import current_pointer; print(current_pointer().previous)"
    ).splitlines()[-1]
    with silent_server() as port:
        silent = Stack(stack.var, stack.environment | {"REDIS_URL": f"redis://127.0.0.1:{port}/0"})
        started = time.monotonic()
        assert silent.manage("publish_model", version).returncode == 0
        assert time.monotonic() - started < 15
    in_service = "from recommendations.version_store import version_in_service; print(version_in_service())"
    assert stack.run_python(in_service) == version


def test_a_message_waits_in_the_broker_and_not_in_a_busy_worker(stack: Stack) -> None:
    """A message that waits in a worker is delivered again after a while, so that a study would run twice."""
    if "REDIS_URL" not in stack.environment:
        pytest.skip("needs a broker")
    send = "from recommendations.tasks import train_model; train_model.delay('{}')"
    runs = "from recommendations.models import TrainingRun; print(TrainingRun.objects.filter(trigger='{}').count())"
    with (
        Redis.from_url(stack.environment["REDIS_URL"]) as broker,
        run_processes({"worker": worker_command(stack.var / "beat")}, stack.environment),
    ):
        with FileLock(stack.var / "models" / "publish.lock"):  # the run waits for it
            stack.run_python(send.format("first"))
            wait_until(lambda: stack.run_python(runs.format("first")) == "1", 30)
            stack.run_python(send.format("second"))
            time.sleep(3)
            assert (broker.llen("training"), broker.hlen("unacked")) == (1, 0)
        wait_until(lambda: stack.run_python(runs.format("second")) == "1", 30)


def test_a_killed_run_is_noticed_by_web_alone(stack: Stack) -> None:
    kill = (
        "import os, signal; from recommendations.training import run; "
        "run.train = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL); "
        "run.run_training('killed', force=True)"
    )
    state = (
        "from recommendations.models import Alarm, TrainingRun; "
        "print(TrainingRun.objects.get(trigger='killed').status, "
        "*Alarm.objects.filter(resolved_at=None).values_list('kind', flat=True))"
    )
    # Before the servers run, because the next look of a server may come at once.
    result = stack.manage("shell", "--verbosity", "0", "--command", kill, check=False)
    assert result.returncode == -signal.SIGKILL
    assert stack.run_python(state) == "running"
    with stack.run_servers():
        wait_until(lambda: stack.run_python(state) == "failed training_failed", 120)


def test_a_missed_run_is_made_up_once_after_broker_and_worker_return(stack: Stack) -> None:
    if "REDIS_URL" not in stack.environment:
        pytest.skip("needs a broker")
    stack.run_python(
        "from datetime import timedelta; from django.utils import timezone; "
        "from django_celery_beat.models import CrontabSchedule, PeriodicTask; "
        "from recommendations.models import TrainingRun; "
        "now = timezone.now(); due = now - timedelta(hours=4); "
        "row, _ = CrontabSchedule.objects.get_or_create(minute=due.minute, hour=due.hour, timezone='UTC'); "
        "PeriodicTask.objects.filter(name='Nightly training').update(crontab=row); "
        "TrainingRun.objects.create(trigger='schedule', status='published', finished_at=now); "
        "TrainingRun.objects.update(started_at=now - timedelta(days=1, hours=4))"
    )
    alarms = (
        "from recommendations.models import Alarm; "
        "print(*Alarm.objects.filter(kind='training_overdue', resolved_at=None).values_list('count', flat=True))"
    )
    runs = (
        "from datetime import timedelta; from django.utils import timezone; "
        "from recommendations.models import TrainingRun; since = timezone.now() - timedelta(hours=1); "
        "print(TrainingRun.objects.filter(trigger='schedule', started_at__gt=since, finished_at__gt=since).count())"
    )
    with stack.run_servers():  # two web processes notice it, while nobody would take a message
        wait_until(lambda: stack.run_python(alarms) != "", 150)
        assert stack.run_python(runs) == "0"
        beats = {name: worker_command(stack.var / name) for name in ("beat-1", "beat-2")}
        with run_processes(beats, stack.environment):
            wait_until(lambda: stack.run_python(runs) == "1", 60)
            wait_until(lambda: stack.run_python(alarms) == "", 150)
            assert stack.run_python(runs) == "1"
