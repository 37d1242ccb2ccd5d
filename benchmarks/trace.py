"""Print how much of the project's own code is visited to answer one request.

    python -m benchmarks.trace [--list]

Sets up a temporary installation (SQLite, no Redis, synthetic data, a trained model), sends requests to the WSGI
application in this process and traces them once everything is warm. The recommendation that is not cached is one for
a listener who has just played a track: the cached response is out of date, and everything else is warm.

- Own code is every file below the root of the repository except virtual environments, tests, migrations, benchmarks.
- Lambdas, comprehensions and generator expressions belong to the function that contains them; a lambda outside of any
  function is a function of its own. Calls of functions and lambdas are counted, resumptions of generators are not.
- A switch is a call whose nearest own caller is in another file, whether it calls directly or through a library.

The module imports nothing from the project but `musicrec.wsgi`, and can be copied into an older checkout to compare.
"""

import argparse
import inspect
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any
from wsgiref.util import setup_testing_defaults

import django

ROOT = Path(__file__).resolve().parent.parent
EXCLUDED_FOLDERS = {".venv", "tests", "migrations", "benchmarks"}
COMPREHENSIONS = {"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"}
ROUNDS = 5  # the last one is reported


class Trace:
    """Record which of the project's functions this thread calls while the context is active."""

    def __init__(self) -> None:
        self.functions: dict[str, dict[str, None]] = defaultdict(dict)  # by file, both in order of the first visit
        self.calls = 0
        self.switches = 0
        self._generators: set[FrameType] = set()

    def __enter__(self) -> "Trace":
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        self._generators.clear()

    def _profile(self, frame: FrameType, event: str, arg: object) -> None:
        code = frame.f_code
        if event != "call" or code.co_name in COMPREHENSIONS or not code.co_flags & inspect.CO_OPTIMIZED:
            return  # only the code of functions is optimized, not that of modules and class bodies
        if (file := own_file(code.co_filename)) is None or frame in self._generators:
            return
        if code.co_flags & inspect.CO_GENERATOR:
            self._generators.add(frame)  # each resumption is reported as a call of the same frame
        self.functions[file][code.co_qualname.partition(".<locals>.<")[0]] = None
        self.calls += 1
        self.switches += calling_file(frame) not in (file, None)


@cache
def own_file(filename: str) -> str | None:
    """Return the path relative to the root, or None if the file is not the project's own code."""
    path = Path(filename).resolve()  # generated code has a name that is not a file's
    is_own = path.is_file() and path.is_relative_to(ROOT) and EXCLUDED_FOLDERS.isdisjoint(path.relative_to(ROOT).parts)
    return str(path.relative_to(ROOT)) if is_own else None


def calling_file(frame: FrameType) -> str | None:
    """Return the file of the nearest caller that is the project's own code, or None if there is none."""
    caller = frame.f_back
    while caller and own_file(caller.f_code.co_filename) is None:
        caller = caller.f_back
    return caller and own_file(caller.f_code.co_filename)


def install(folder: str) -> str:
    """Set up an installation that keeps everything in the folder and return a service key."""
    for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "MUSICREC_MODEL_DIR"):
        os.environ.pop(name, None)
    os.environ |= {"DJANGO_SETTINGS_MODULE": "musicrec.settings", "MUSICREC_VAR_DIR": folder, "LOG_LEVEL": "WARNING"}
    django.setup()
    manage("migrate", "--verbosity", "0")
    manage("import_plays", "--format", "synthetic")
    manage("train_model")
    return manage("create_service_key", "trace", "--scope", "recommend", "--scope", "events").splitlines()[-1]


def manage(*command: str) -> str:
    """Run a management command in its own process and return its output."""
    result = subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"manage.py {' '.join(command)} failed:\n{result.stderr}")
    return result.stdout


def send(key: str, path: str, query: str = "", body: bytes = b"") -> tuple[Any, Trace]:
    """Send a request to the application, GET unless there is a body, and return the parsed response and its trace."""
    from musicrec.wsgi import application

    environ: dict[str, Any] = {"PATH_INFO": path, "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1"}
    environ |= {"HTTP_AUTHORIZATION": f"Api-Key {key}", "wsgi.input": BytesIO(body)}
    if body:
        environ |= {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/json", "CONTENT_LENGTH": str(len(body))}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    with Trace() as trace:
        response = application(environ, lambda status, headers, exc_info=None: statuses.append(status))
        received = b"".join(response)
        getattr(response, "close", lambda: None)()
    assert statuses[0].startswith("2"), (statuses, received)
    return json.loads(received), trace


def trace_requests(key: str) -> dict[str, Trace]:
    """Send each kind of request in several rounds and return the traces of the last round by title."""
    from django.contrib.auth import get_user_model

    user = get_user_model().objects.earliest("pk").pk
    path = f"/recommend/user/{user}/ml"
    track = send(key, path, "limit=100")[0]["results"][0]["track_id"]
    for _ in range(ROUNDS):
        event = {"event_id": str(uuid.uuid4()), "type": "play_end", "user_id": user, "track_id": track}
        event |= {"occurred_at": datetime.now(UTC).isoformat(), "ms_played": 150_000}
        before, _ = send(key, path, "limit=20")
        receipt, event_trace = send(key, "/events", body=json.dumps([event]).encode())
        uncached, uncached_trace = send(key, path, "limit=20")
        cached, cached_trace = send(key, path, "limit=20")
        assert (receipt["accepted"], uncached["strategy"]) == (1, "personal")
        # Each computed response has a new id; a cached one keeps the id.
        assert before["recommendation_id"] != uncached["recommendation_id"] == cached["recommendation_id"]
    recommendation = "GET /recommend/user/{id}/ml?limit=20"
    return {
        f"{recommendation}, not cached": uncached_trace,
        f"{recommendation}, cached": cached_trace,
        "POST /events, one event": event_trace,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trace", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the visited files and their functions as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        traces = trace_requests(install(folder))
    print("| request | files | functions | calls | switches between files |\n|---|---|---|---|---|")
    for title, trace in traces.items():
        functions = sum(map(len, trace.functions.values()))
        print(f"| {title} | {len(trace.functions)} | {functions} | {trace.calls} | {trace.switches} |")
    for title, trace in traces.items() if options.list else ():
        print(f"\n{title}\n")
        for file, visited in trace.functions.items():
            print(f"{file}: {', '.join(visited)}")


if __name__ == "__main__":
    main()
