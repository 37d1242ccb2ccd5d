"""The web server forks its workers from a process that has imported the code and loaded the model."""

import os
import signal
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import psutil
import pytest

from musicrec.processes import wait_until_ready
from recommendations.serving.model_cache import ModelCache
from tests.play_files import write_checkerboard_csv
from tests.stack import Stack, new_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    installed = new_stack(tmp_path_factory.mktemp("web"), MUSICREC_MODEL_POLL_SECONDS="60", REDIS_URL="")
    installed.manage("import_plays", str(write_checkerboard_csv(installed.var)), "--format", "csv")
    installed.manage("train_model")
    return installed


def wait_until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_workers_share_the_memory_of_the_model_and_a_replacement_loads_the_current_version(stack: Stack) -> None:
    """Without Redis and with rare polling, running workers do not notice the new version; only a new process does."""
    auth = f"Api-Key {stack.create_service_key('recommend')}"
    with stack.run_servers(single_process=True) as processes:
        before = stack.request("/recommend/user/1/ml", auth=auth).body["model_version"]
        [child] = stack.web_processes(processes)
        memory = child.memory_full_info()
        assert memory.uss < memory.rss / 2, memory  # its own memory, of all that it uses

        stack.manage("train_model", "--force")
        assert stack.request("/recommend/user/1/ml", auth=auth).body["model_version"] == before
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: [other for other in stack.web_processes(processes) if other.pid != child.pid])
        wait_until_ready(stack.port, processes)
        assert stack.request("/recommend/user/1/ml", auth=auth).body["model_version"] not in (before, None)


@pytest.mark.slow
def test_threads_that_end_close_their_database_connections(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(stack.environment, "GRANIAN_BLOCKING_THREADS_IDLE_TIMEOUT", "5")  # the least it accepts
    monkeypatch.setitem(stack.environment, "MUSICREC_MODEL_POLL_SECONDS", "0")  # no threads but those of the server
    auth = f"Api-Key {stack.create_service_key('recommend')}"

    def send_requests() -> None:
        for _ in range(20):
            assert stack.request("/recommend/user/1/ml", auth=auth).status == 200

    with stack.run_servers(single_process=True) as processes:
        [web] = stack.web_processes(processes)
        for _ in range(4):
            clients = [threading.Thread(target=send_requests) for _ in range(4)]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            threads = web.num_threads()
            assert database_connections(stack, web) <= 3
            wait_until(lambda: web.num_threads() < threads)  # noqa: B023  # called before the next round


def database_connections(stack: Stack, process: psutil.Process) -> int:
    """Count a process's connections to PostgreSQL, or how often it has opened the SQLite database.

    The second counts one more, which the parent process opened before it forked.
    """
    if (port := urlsplit(stack.environment.get("DATABASE_URL", "")).port) is not None:
        return sum(bool(c.raddr) and c.raddr.port == port for c in process.net_connections())
    return sum(file.path == str(stack.var / "musicrec.sqlite3") for file in process.open_files())


@pytest.mark.django_db
def test_preloading_starts_no_threads_that_a_fork_would_lose() -> None:
    cache, threads = ModelCache(), threading.active_count()
    cache.preload()
    assert threading.active_count() == threads
    assert cache.current().problem == "no_model"
