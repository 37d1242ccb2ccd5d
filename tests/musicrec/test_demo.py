"""`make demo` says why it cannot start."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import platforms

from musicrec.demo import ROOT_WARNING
from musicrec.processes import ROOT, find_port_problem

pytestmark = pytest.mark.one_stack
HOLD_THE_LOCK = """
import time
from musicrec.demo import _lock_data_folder
with _lock_data_folder(8123):
    print("locked", flush=True)
    time.sleep(600)
"""


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"MUSICREC_VAR_DIR": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def run_demo(folder: Path, port: int) -> tuple[int, str]:
    command = [sys.executable, "-m", "musicrec.demo", "--port", str(port)]
    demo = subprocess.run(command, cwd=ROOT, env=environment(folder), capture_output=True, text=True, timeout=60)
    assert demo.stdout == ""
    return demo.returncode, demo.stderr


def test_a_second_demo_with_the_same_data_names_the_first_until_that_one_ends(tmp_path: Path, used_port: int) -> None:
    command = [sys.executable, "-c", HOLD_THE_LOCK]
    first = subprocess.Popen(command, env=environment(tmp_path), stdout=subprocess.PIPE, text=True)
    assert first.stdout
    assert first.stdout.readline() == "locked\n"
    status, message = run_demo(tmp_path, used_port)
    assert status == 1
    assert message.startswith("demo: another demo is running, or starting, on http://127.0.0.1:8123/ with the data in ")
    assert "make demo MUSICREC_VAR_DIR=var-2 PORT=" in message
    assert message.count("\n") == 1
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert (
        "port" in run_demo(tmp_path, used_port)[1]
    )  # the lock of a killed demo is free: the next obstacle is reported


def test_a_port_in_use_is_reported_with_a_free_one(tmp_path: Path, used_port: int) -> None:
    status, message = run_demo(tmp_path, used_port)
    assert status == 1
    start, _, free = message.rpartition("=")
    assert start == f"demo: port {used_port} cannot be used: address already in use. Choose another: make demo PORT"
    assert find_port_problem(int(free)) == ""


def test_the_warning_about_the_root_account_is_filtered_by_its_text() -> None:
    warn = f"import warnings; warnings.warn({platforms.ROOT_DISCOURAGED!r}, RuntimeWarning)"
    command = [sys.executable, "-c", warn]
    quiet = subprocess.run(command, env=os.environ | {"PYTHONWARNINGS": ROOT_WARNING}, capture_output=True, text=True)
    assert quiet.stderr == ""
    assert "superuser privileges" in subprocess.run(command, capture_output=True, text=True).stderr
