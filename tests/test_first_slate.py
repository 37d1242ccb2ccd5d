"""The example for adopters runs against an empty installation, from a service key to a phone's changed slate."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import Stack, new_stack

pytestmark = pytest.mark.slow
EXAMPLE = Path(__file__).parents[1] / "examples/first_slate.py"
SCOPES = ("catalogue", "listeners", "events", "training", "tokens")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Return an empty installation with a worker, which trains."""
    installed = new_stack(tmp_path, MUSICREC_FACTORS="16", LOG_LEVEL="WARNING")
    with installed.run_servers(worker=True):
        yield installed


def test_the_example_goes_from_nothing_to_a_changed_slate(stack: Stack) -> None:
    environment = os.environ | {"MUSICREC_URL": stack.base, "MUSICREC_KEY": stack.create_service_key(*SCOPES)}
    command = [sys.executable, str(EXAMPLE)]
    first = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "1000 tracks are new" in first.stdout
    assert "100 listeners are new" in first.stdout
    assert "6000 plays are stored" in first.stdout
    assert "Nobody has played it, and it has similar tracks:" in first.stdout
    assert first.stdout.endswith("Done.\n")
