"""The production server with what it serves, once in each way that is measured."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musicrec.processes import run_processes, wait_until_ready, web_command
from tests.postgres import free_port


@contextmanager
def web(**environment: str) -> Iterator[int]:
    """As `make demo` and compose start it; its port."""
    port = free_port()
    with run_processes({"web": web_command(port)}, os.environ | environment) as processes:
        wait_until_ready(port, processes)
        yield port


@contextmanager
def bare(body: Path, middleware: str) -> Iterator[int]:
    """The view of `benchmarks.load.bare` under the same server with as many processes and threads; its port."""
    port = free_port()
    command = ["granian", "--interface", "wsgi", "benchmarks.load.bare:application", *web_command(port)[1:]]
    with run_processes({"bare": command}, os.environ | {"BODY": str(body), "MIDDLEWARE": middleware}) as processes:
        wait_until_ready(port, processes)
        yield port
