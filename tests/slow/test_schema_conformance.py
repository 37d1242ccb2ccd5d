"""Answers to generated requests conform to the served OpenAPI document and are never a 500."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from access.models import Scope
from tests.play_files import write_checkerboard_csv
from tests.stack import PASSWORD, Stack, new_stack

pytestmark = pytest.mark.slow
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
UNLIMITED = {f"MUSICREC_RATE_{who}": "" for who in ("LISTENER", "KEY", "SIGN_IN")}
DESTRUCTIVE = "^/users/[^/]+$"  # would erase the listener whose token is used


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    installed = new_stack(tmp_path_factory.mktemp("schema"), MUSICREC_FACTORS="2", LOG_LEVEL="ERROR", **UNLIMITED)
    installed.manage("import_plays", str(write_checkerboard_csv(installed.var)), "--format", "csv")
    installed.manage("train_model")
    installed.prepare_listener("u2", "ann")
    with installed.run_servers(single_process=True):
        yield installed


@pytest.mark.parametrize(
    ("principal", "phases", "examples"),
    [("nobody", "fuzzing", 2), ("listener", "fuzzing", 6), ("service", "examples,coverage,fuzzing", 4)],
)
def test_every_answer_conforms_to_the_schema(
    stack: Stack, principal: str, phases: str, examples: int, tmp_path: Path
) -> None:
    """Send most requests with the service key; without credentials nearly everything is a 401."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.base}/schema", "--checks", CHECKS),
        *("--phases", phases, "--max-examples", str(examples), "--generation-deterministic"),
        # Python 3.11 fails if two threads compile syntax trees at the same time.
        *("--workers", "1"),
        *("--suppress-health-check", "all", "--no-color"),
    ]
    result = subprocess.run([*command, *_credentials(stack, principal)], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-12_000:] + result.stderr[-2_000:]
    assert "passed" in result.stdout


def _credentials(stack: Stack, principal: str) -> list[str]:
    if principal == "nobody":
        return []
    if principal == "service":
        return ["-H", f"Authorization: Api-Key {stack.create_service_key(*Scope.values)}"]
    token = stack.request("/token", body={"username": "ann", "password": PASSWORD}).body["access"]
    return ["-H", f"Authorization: Bearer {token}", "--exclude-path-regex", DESTRUCTIVE]
