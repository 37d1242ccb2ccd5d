"""Runs and kills training in child processes: `python -m tests.slow.driver` reads one JSON command per line.

One warm process forks for each case, which takes half a second; starting Django five times would take much longer.
"""

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "musicrec.settings")
import django

django.setup()

from django.db import connection  # noqa: E402

from recommendations.models import ModelArtifact, TrainingRun, UserFeatures  # noqa: E402
from recommendations.training.run import run_training  # noqa: E402
from recommendations.version_store import version_in_service, version_store  # noqa: E402
from tests.command_server import import_libraries  # noqa: E402


def run_in_child(work: Callable[[], Any]) -> int:
    """Run `work` in a child process and return its exit status, or minus the signal that killed it."""
    connection.close()  # a connection must not be shared by two processes
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train_and_die(module: str, name: str, when: str) -> None:
    """Train, and kill the process right before or right after `module.name` is called."""
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, last)

    def call_and_die(*args: Any, **kwargs: Any) -> None:
        if when == "after":
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, last, call_and_die)
    run_training("killed", force=True)


def train(force: bool) -> None:
    os._exit({"Published": 0, "Unchanged": 1}.get(run_training("test", force=force).status, 2))


def read_state() -> dict[str, Any]:
    return {
        "in_service": version_in_service(),
        "running": TrainingRun.objects.filter(status="running").count(),
        "projected": sorted(set(UserFeatures.objects.values_list("version", flat=True))),
        "recorded": sorted(ModelArtifact.objects.filter(pruned_at=None).values_list("version", flat=True)),
        "on_disk": version_store().versions(),
        "unfinished": sorted(p.name for p in version_store().root.glob("*.tmp")),
    }


COMMANDS: dict[str, Callable[..., Any]] = {
    "kill": lambda *step: run_in_child(lambda: train_and_die(*step)),
    "train": lambda force: run_in_child(lambda: train(force)),
    "state": read_state,
}

if __name__ == "__main__":
    import_libraries()
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(COMMANDS[command](*arguments)), flush=True)
