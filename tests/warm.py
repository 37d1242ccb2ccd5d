"""Runs commands of manage.py in forks of one warm process: `python -m tests.warm`, a JSON command a line.

Most of the two seconds that a command takes to start go into importing what others wrote. That is done here, once;
settings, apps and whatever depends on them each child loads by itself, in the environment that the command names.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import Any

from musicrec.processes import ROOT

# What needs neither settings nor an environment when it is imported.
LIBRARIES = (
    *("numpy", "scipy.sparse", "scipy.linalg", "scipy.stats", "numba", "threadpoolctl"),
    *("celery", "celery.app.base", "celery.app.task", "kombu.entity", "redis.asyncio", "psycopg2.extras", "requests"),
    *("django.core.management", "django.core.serializers", "django.db.models", "django.db.backends.postgresql.base"),
    *("django.db.backends.sqlite3.base", "django.forms", "django.http", "django.template", "django.urls"),
    *("django.views.generic", "django.utils.translation", "pygments.lexers", "pygments.formatters", "yaml", "orjson"),
    *("engine.bundle.model_bundle", "engine.training", "engine.bundle.versions", "engine.pipeline"),
)


def main() -> None:
    """Read commands until there are no more; a child leaves the loop and becomes manage.py."""
    import_libraries()
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            become(**command)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def import_libraries() -> None:
    """Import, once for all children, and set numba up, but not its threads, which no fork survives."""
    for library in LIBRARIES:
        importlib.import_module(library)
    importlib.import_module("numba").njit(lambda: 0)()
    gc.freeze()  # or each child would copy all of it when it collects garbage, at its end if not before


def become(words: list[str], environment: dict[str, str], files: list[str]) -> None:
    """manage.py with these words, in this environment, between these files (in, out and error)."""
    for number, file in enumerate(files):
        os.dup2(os.open(file, os.O_RDWR), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["manage.py", *words]
    runpy.run_path(str(ROOT / "manage.py"), run_name="__main__")


def exchange_json(process: "subprocess.Popen[str]", command: Any) -> Any:
    """What a process answers that reads and prints a JSON value a line."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


class CommandServer:
    """The process, as those see it who have commands."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True
        )
        atexit.register(self.stop)

    def manage(self, words: tuple[str, ...], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryDirectory() as folder, self._one_at_a_time:
            out, error = Path(folder, "out"), Path(folder, "error")
            out.touch()
            error.touch()
            files = ["/dev/null", str(out), str(error)]
            status = exchange_json(self._process, {"words": words, "environment": environment, "files": files})
            return subprocess.CompletedProcess(words, status, out.read_text(), error.read_text())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@cache
def command_server() -> CommandServer:
    """That of this process, started when it is first needed."""
    return CommandServer()


if __name__ == "__main__":
    main()
