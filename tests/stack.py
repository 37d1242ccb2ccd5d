"""A whole installation: its own database and model folder, management commands, web server and worker."""

import json
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from musicrec.processes import Processes, run_processes, wait_until_ready, web_command, worker_command
from tests.command_server import command_server
from tests.postgres import create_database, free_port

PASSWORD = "secret-77"
# One thread, because with two each step of a fit would wait for the core that is busy with another test.
QUICK_SETTINGS = {
    "MUSICREC_FAMILY": "ials",
    "MUSICREC_FACTORS": "2",
    "MUSICREC_TRAINING_THREADS": "1",
    "MUSICREC_MODEL_POLL_SECONDS": "0.5",
}


@dataclass
class ApiResponse:
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def tracks(self) -> list[int]:
        return [result["track_id"] for result in self.body["results"]]


@dataclass
class Stack:
    """An installation; `environment` holds the environment variables of its processes."""

    var: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def manage(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        result = command_server().manage(command, self.environment)
        if check and result.returncode:
            raise AssertionError(f"manage.py {' '.join(command)}: {result.stdout}{result.stderr}")
        return result

    def run_python(self, code: str) -> str:
        """Run code with Django set up and return what it prints."""
        return self.manage("shell", "--verbosity", "0", "--command", code).stdout.strip()

    def create_service_key(self, *scopes: str) -> str:
        words = [word for scope in scopes for word in ("--scope", scope)]
        return self.manage("create_service_key", f"test-{uuid.uuid4().hex[:8]}", *words).stdout.splitlines()[-1]

    def prepare_listener(self, external_id: str, username: str = "") -> int:
        """Return the id of an imported listener; with a username, let them sign in with `PASSWORD`."""
        sign_in = f"u.username = '{username}'; u.set_password('{PASSWORD}'); u.save(); " if username else ""
        code = (
            f"from access.models import User; u = User.objects.get(external_id='{external_id}'); {sign_in}print(u.pk)"
        )
        return int(self.run_python(code))

    @staticmethod
    def web_processes(processes: Processes) -> list[psutil.Process]:
        """Return the live processes of the web server that answer requests."""
        return [child for child in psutil.Process(processes["web"].pid).children() if _is_alive(child)]

    @contextmanager
    def run_servers(self, *, worker: bool = False, single_process: bool = False) -> Iterator[Processes]:
        """Run the web server, and optionally a worker.

        With `single_process` the server starts two seconds earlier.
        """
        self.port = free_port()
        web = web_command(self.port)
        if single_process:
            web[web.index("--workers") + 1] = "1"
        commands = {"web": web}
        if worker:
            commands["worker"] = worker_command(self.var / "beat")
        with run_processes(commands, self.environment) as processes:
            wait_until_ready(self.port, processes)
            yield processes

    def request(
        self,
        path: str,
        *,
        auth: str = "",
        body: Any = None,
        headers: dict[str, str] | None = None,
        method: str | None = None,
    ) -> ApiResponse:
        """Send a request, GET by default and POST with a body; an error status does not raise."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, headers={**(headers or {})}, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if auth:
            request.add_header("Authorization", auth)
        try:
            response = urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            response = error
        content = response.read()
        is_json = "json" in response.headers.get("Content-Type", "")
        return ApiResponse(
            response.status, dict(response.headers), json.loads(content) if is_json and content else content
        )


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended after it was listed
        return False


def new_stack(folder: Path, **extra: str) -> Stack:
    """Set up an empty, migrated installation on the services of this test session."""
    var = folder / "var"
    var.mkdir(parents=True)
    environment = os.environ | QUICK_SETTINGS | {"MUSICREC_VAR_DIR": str(var), "LOG_LEVEL": "INFO"}
    if "DATABASE_URL" in os.environ:
        name = f"stack_{uuid.uuid4().hex[:12]}"
        environment["DATABASE_URL"] = create_database(os.environ["DATABASE_URL"], name, template=_template())
        xdist_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        environment["REDIS_URL"] = (
            f"{os.environ['REDIS_URL'].rsplit('/', 1)[0]}/{xdist_worker + 1}"  # its own task queue
        )
    elif "DATABASE_URL" not in extra:
        shutil.copy(_template(), var / "musicrec.sqlite3")
    stack = Stack(var, environment | extra)
    if "DATABASE_URL" in extra:  # the test runs its own database server
        stack.manage("migrate", "--verbosity", "0")
    return stack


@cache
def _template() -> str:
    """Return a migrated, empty database to copy, as its name or file; migrating takes longer than copying."""
    folder = Path(tempfile.mkdtemp(prefix="template-", dir=os.environ["MUSICREC_VAR_DIR"]))
    environment, name = os.environ | {"MUSICREC_VAR_DIR": str(folder)}, f"template_{uuid.uuid4().hex[:12]}"
    if "DATABASE_URL" in os.environ:
        environment["DATABASE_URL"] = create_database(os.environ["DATABASE_URL"], name)
    Stack(folder, environment).manage("migrate", "--verbosity", "0")
    return name if "DATABASE_URL" in os.environ else str(folder / "musicrec.sqlite3")
