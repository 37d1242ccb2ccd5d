"""The web server forks its workers from a process that has imported the code and loaded the model."""

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

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
        assert stack.request("/recommend/user/1/ml", auth=auth).body["model_version"] not in (before, None)


@pytest.mark.django_db
def test_preloading_starts_no_threads_that_a_fork_would_lose() -> None:
    cache, threads = ModelCache(), threading.active_count()
    cache.preload()
    assert threading.active_count() == threads
    assert cache.current().problem == "no_model"
