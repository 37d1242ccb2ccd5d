"""The web server forks the processes that answer from one that has imported and loaded what they need."""

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


def until(holds: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_processes_share_what_was_loaded_and_one_in_the_place_of_another_has_what_is_new(stack: Stack) -> None:
    """Nobody hears of a new version here, and nobody looks at the pointer in time: only a new process does."""
    auth = f"Api-Key {stack.create_service_key('recommend')}"
    with stack.run_servers(single_process=True) as processes:
        before = stack.request("/recommend/user/1/ml", auth=auth).body["model_version"]
        [child] = stack.web_processes(processes)
        memory = child.memory_full_info()
        assert memory.uss < memory.rss / 2, memory  # what is its own, of all that it has

        stack.manage("train_model", "--force")
        assert stack.request("/recommend/user/1/ml", auth=auth).body["model_version"] == before
        os.kill(child.pid, signal.SIGKILL)
        until(lambda: [other for other in stack.web_processes(processes) if other.pid != child.pid])
        assert stack.request("/recommend/user/1/ml", auth=auth).body["model_version"] not in (before, None)


@pytest.mark.django_db
def test_preloading_leaves_nothing_behind_that_a_fork_would_cut_off() -> None:
    fresh, threads = ModelCache(), threading.active_count()
    fresh.preload()
    assert threading.active_count() == threads
    assert fresh.current().problem == "no_model"
