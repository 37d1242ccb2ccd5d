"""The servers that the load is sent to, each run with the command of the production server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musicrec.processes import run_processes, wait_until_ready, web_command
from tests.postgres import free_port


@contextmanager
def run_web_server(**environment: str) -> Iterator[int]:
    """Run the web server as `make demo` and compose do, and yield its port."""
    port = free_port()
    with run_processes({"web": web_command(port)}, os.environ | environment) as processes:
        wait_until_ready(port, processes)
        yield port


@contextmanager
def run_empty_view(body: Path, middleware: str) -> Iterator[int]:
    """Run `benchmarks.load.empty_view` under the same server with as many processes and threads; yield its port.

    Args:
        body: the file that the view returns.
        middleware: "stock" or "none".
    """
    port = free_port()
    command = ["granian", "--interface", "wsgi", "benchmarks.load.empty_view:application", *web_command(port)[1:]]
    environment = os.environ | {"BODY": str(body), "MIDDLEWARE": middleware}
    with run_processes({"empty view": command}, environment) as processes:
        wait_until_ready(port, processes)
        yield port
