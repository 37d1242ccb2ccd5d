"""kill -9 at every step of a training run: the old version goes on serving, the next run succeeds, nothing half-written
is ever served."""

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
AFTER_THE_POINTER = {"send_reload", "store_user_features", "prune_versions"}


@dataclass
class Driven:
    """An installation that serves, and the driver that trains in it."""

    stack: Stack
    driver: "subprocess.Popen[str]"
    key: str
    prepare_listener: int

    def __call__(self, *command: Any) -> Any:
        return exchange_json(self.driver, command)

    def served(self) -> str:
        """The version that answers, and answers well."""
        answer = self.stack.request(f"/recommend/user/{self.prepare_listener}/ml?limit=5", auth=f"Api-Key {self.key}")
        assert (answer.status, answer.body["strategy"], answer.body["degraded"]) == (200, "personal", False)
        return str(answer.body["model_version"])


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
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
        ) as driver,
    ):
        yield Driven(stack, driver, stack.create_service_key("recommend"), listener)
        driver.kill()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("module", "name"), STEPS, ids=[name for _, name in STEPS])
def test_killed_at_any_step_it_goes_on(driven: Driven, module: str, name: str, when: str) -> None:
    before = driven("state")["in_service"]
    assert driven("kill", module, name, when) == -signal.SIGKILL
    left = driven("state")
    past_the_pointer = name in AFTER_THE_POINTER or (name, when) == ("VersionStore.publish", "after")
    assert (left["in_service"] != before) is past_the_pointer
    assert left["in_service"] in left["on_disk"]
    assert driven.served() in (before, left["in_service"])

    assert driven("train", True) == 0
    after = driven("state")
    assert after["in_service"] not in (before, left["in_service"])
    assert after["projected"] == [after["in_service"]]
    assert (after["running"], after["unfinished"]) == (0, [])
    assert after["recorded"] == sorted(after["on_disk"])


def test_an_unfinished_publication_is_finished_by_a_run_that_finds_nothing_new(driven: Driven) -> None:
    """Killed between the pointer and its consequences, with no new plays the night after."""
    assert driven("kill", "recommendations.training.publish", "store_user_features", "before") == -signal.SIGKILL
    left = driven("state")
    assert left["projected"] != [left["in_service"]]
    assert driven("train", False) == 1
    after = driven("state")
    assert after["projected"] == [after["in_service"]] == [left["in_service"]]
