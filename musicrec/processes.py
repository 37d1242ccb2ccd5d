"""Starting, watching and stopping the web server and the worker as child processes."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60
STOP_SECONDS = 10
Processes = dict[str, subprocess.Popen[bytes]]


class ProcessExited(Exception):
    """A process ended or never became ready; the message names it."""


def web_command(port: int) -> list[str]:
    # With two threads, one computes while the other waits for the database. More would only wait for the GIL.
    return [
        *("musicrec.server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "2", "--blocking-threads", "2", "--log-level", "warning"),
    ]


def worker_command(schedule: Path) -> list[str]:
    return [
        *("celery", "-A", "musicrec", "--quiet", "worker", "--beat", "--concurrency", "1", "--loglevel", "WARNING"),
        *("--queues", "celery,training"),  # both: a second worker gains nothing on one machine with few cores
        *("--schedule", str(schedule), "--without-gossip", "--without-mingle"),
    ]


@contextmanager
def run_processes(commands: dict[str, list[str]], environment: dict[str, str]) -> Iterator[Processes]:
    """Run Python modules as child processes by name, and stop them at the end.

    Each has a session of its own, so that Ctrl-C reaches only the parent, which then stops them in order. If the parent
    is killed, another process stops them, so that they do not occupy ports and write to a database unattended.
    """
    processes = {
        name: subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, env=environment, start_new_session=True)
        for name, command in commands.items()
    }
    # Isolated (-I), because the folder of the script has modules with names of the standard library and of packages.
    stop_with_parent = [sys.executable, "-I", str(ROOT / "musicrec" / "stop_with_parent.py")]
    watcher = subprocess.Popen(
        [*stop_with_parent, *(str(process.pid) for process in processes.values())],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield processes
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        watcher.kill()
        watcher.communicate()


def check_running(processes: Processes) -> None:
    for name, process in processes.items():
        if process.poll() is not None:
            raise ProcessExited(f"{name} stopped with exit code {process.returncode}")


def wait_until_ready(port: int, processes: Processes) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        check_running(processes)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise ProcessExited(f"nothing answered on port {port} within {READY_SECONDS} seconds")


def find_port_problem(port: int) -> str:
    """Return why a server cannot listen on a port of this machine, or "" if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return os.strerror(error.errno or 0).lower()
    return ""
