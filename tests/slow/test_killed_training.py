"""A training run is killed at every step: the old version keeps serving, and the next run succeeds."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from musicrec.processes import ROOT
from tests.command_server import exchange_json
from tests.play_files import write_checkerboard_csv
from tests.stack import Stack, new_stack

pytestmark = pytest.mark.slow

STEPS = [
    ("recommendations.training.run", "finish_interrupted_run"),
    ("recommendations.training.run", "read_plays"),
    ("recommendations.training.run", "train"),
    ("engine.bundle.versions", "write_bundle"),
    ("engine.bundle.files", "save_npz"),
    ("engine.bundle.versions", "VersionStore.write"),
    ("recommendations.training.run", "record_version"),
    ("engine.bundle.versions", "write_json"),
    ("engine.bundle.versions", "VersionStore.publish"),
    ("recommendations.training.publish", "send_reload"),
    ("recommendations.training.publish", "store_user_features"),
    ("recommendations.training.run", "prune_versions"),
]
AFTER_PUBLICATION = {"send_reload", "store_user_features", "prune_versions"}


@dataclass
class TrainingDriver:
    """An installation that serves, and the driver process that trains in it."""

    stack: Stack
    process: "subprocess.Popen[str]"
    key: str
    listener_id: int

    def send(self, *command: Any) -> Any:
        return exchange_json(self.process, command)

    def served_version(self) -> str:
        """Return the version of an answer that is personal and not degraded."""
        answer = self.stack.request(f"/recommend/user/{self.listener_id}/ml?limit=5", auth=f"Api-Key {self.key}")
        assert (answer.status, answer.body["strategy"], answer.body["degraded"]) == (200, "personal", False)
        return str(answer.body["model_version"])


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingDriver]:
    stack = new_stack(tmp_path_factory.mktemp("killed"), MUSICREC_FACTORS="2", MUSICREC_GATE_MARGIN="1")
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    stack.manage("train_model")
    listener = stack.prepare_listener("u2")
    with (
        stack.run_servers(),
        (stack.var / "driver.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.slow.driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=stack.environment,
            cwd=ROOT,
            text=True,
        ) as process,
    ):
        yield TrainingDriver(stack, process, stack.create_service_key("recommend"), listener)
        process.kill()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_after_a_run_is_killed_the_old_version_serves_and_the_next_run_succeeds(
    driver: TrainingDriver, module: str, name: str, when: str
) -> None:
    before = driver.send("state")["in_service"]
    assert driver.send("kill", module, name, when) == -signal.SIGKILL
    interrupted = driver.send("state")
    is_published = name in AFTER_PUBLICATION or (name, when) == ("VersionStore.publish", "after")
    assert (interrupted["in_service"] != before) is is_published
    assert interrupted["in_service"] in interrupted["on_disk"]
    assert driver.served_version() in (before, interrupted["in_service"])

    assert driver.send("train", True) == 0
    after = driver.send("state")
    assert after["in_service"] not in (before, interrupted["in_service"])
    assert after["projected"] == [after["in_service"]]
    assert (after["running"], after["unfinished"]) == (0, [])
    assert after["recorded"] == sorted(after["on_disk"])


def test_an_interrupted_publication_is_finished_by_the_next_run_even_without_new_plays(driver: TrainingDriver) -> None:
    """The run is killed between replacing the pointer and storing the user features."""
    assert driver.send("kill", "recommendations.training.publish", "store_user_features", "before") == -signal.SIGKILL
    interrupted = driver.send("state")
    assert interrupted["projected"] != [interrupted["in_service"]]
    assert driver.send("train", False) == 1
    after = driver.send("state")
    assert after["projected"] == [after["in_service"]] == [interrupted["in_service"]]
