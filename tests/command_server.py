"""Runs manage.py commands in forks of one process that has imported the libraries already.

A command takes two seconds to start, most of them for importing third-party libraries. The server does that once; each
fork then loads settings and apps in the environment of its command.

`python -m tests.command_server` reads one command per line as JSON and prints its exit code.
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

# Modules whose import depends on neither settings nor environment variables.
LIBRARIES = (
    *("numpy", "scipy.sparse", "scipy.linalg", "scipy.stats", "numba", "threadpoolctl"),
    *("celery", "celery.app.base", "celery.app.task", "kombu.entity", "redis.asyncio", "psycopg2.extras", "requests"),
    *("django.core.management", "django.core.serializers", "django.db.models", "django.db.backends.postgresql.base"),
    *("django.db.backends.sqlite3.base", "django.forms", "django.http", "django.template", "django.urls"),
    *("django.views.generic", "django.utils.translation", "pygments.lexers", "pygments.formatters", "yaml", "orjson"),
    *("engine.bundle.model_bundle", "engine.training", "engine.bundle.versions", "engine.pipeline"),
)


def main() -> None:
    """Fork for every command; the child leaves the loop and becomes manage.py."""
    import_libraries()
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            run_manage(**command)
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def import_libraries() -> None:
    """Import the libraries and initialize numba, except its threads, which would not survive a fork."""
    for library in LIBRARIES:
        importlib.import_module(library)
    importlib.import_module("numba").njit(lambda: 0)()
    gc.freeze()  # a garbage collection in a child, at its end at the latest, would copy all of it


def run_manage(words: list[str], environment: dict[str, str], files: list[str]) -> None:
    """Turn this process into manage.py.

    Args:
        words: the arguments.
        environment: replaces the environment variables.
        files: paths for standard input, output and error.
    """
    for number, file in enumerate(files):
        os.dup2(os.open(file, os.O_RDWR), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["manage.py", *words]
    runpy.run_path(str(ROOT / "manage.py"), run_name="__main__")


def exchange_json(process: "subprocess.Popen[str]", command: Any) -> Any:
    """Send a process one line of JSON and return the line it answers with."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(command) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


class CommandServer:
    """Starts the server process and sends it commands."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.command_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        atexit.register(self.stop)

    def manage(self, words: tuple[str, ...], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        with tempfile.TemporaryDirectory() as folder, self._lock:
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
    """Return the command server of this process, which starts on first use."""
    return CommandServer()


if __name__ == "__main__":
    main()
