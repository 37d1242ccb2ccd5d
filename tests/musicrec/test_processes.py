import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from musicrec.processes import ROOT, run_processes

pytestmark = pytest.mark.one_stack
SLEEP = ["timeit", "-n1", "-r1", "import time; time.sleep(600)"]
PARENT = f"""
import os, time
from musicrec.processes import run_processes
with run_processes({{"sleeper": {SLEEP!r}}}, dict(os.environ)) as processes:
    print(processes["sleeper"].pid, flush=True)
    time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_processes_are_stopped_at_the_end() -> None:
    before = {child.pid for child in psutil.Process().children()}
    with run_processes({"sleeper": SLEEP}, dict(os.environ)) as processes:
        assert is_running(processes["sleeper"].pid)
    assert processes["sleeper"].returncode == -signal.SIGTERM
    assert {child.pid for child in psutil.Process().children()} == before


def test_processes_are_stopped_when_their_parent_is_killed() -> None:
    command, environment = [sys.executable, "-c", PARENT], os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    sleeper = int(parent.stdout.readline())
    assert is_running(sleeper)
    parent.kill()
    deadline = time.monotonic() + 30
    while is_running(sleeper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(sleeper)
    parent.communicate()
