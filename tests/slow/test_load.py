"""The load generator of `make load`, and a short run of the whole benchmark."""

import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.load.client import build_request, run_load
from musicrec.processes import ROOT

pytestmark = pytest.mark.slow


class FakeServer(threading.Thread):
    """Sends the same answer to every request; with `hangs_up`, closes each connection after its third answer."""

    def __init__(self, answer: bytes, *, hangs_up: bool = False) -> None:
        super().__init__(daemon=True)
        self._answer, self._hangs_up = answer, hangs_up
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.start()

    def run(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            for number in range(1_000_000):
                if not connection.recv(4096) or (self._hangs_up and number == 3):
                    return
                connection.sendall(self._answer[:20])
                connection.sendall(self._answer[20:])


def http_response(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello".encode()


def test_answers_and_errors_are_counted() -> None:
    requests = [build_request("/x", "Api-Key k")]
    successful = run_load(FakeServer(http_response("200 OK")).port, requests, 3, 0.3)
    assert successful.errors == 0
    assert len(successful.latencies) == len(successful.at) > 30
    assert 0 < successful.percentile(50) <= successful.percentile(99) < 300
    assert successful.rate == pytest.approx(len(successful.latencies) / 0.3, rel=0.2)
    failed = run_load(FakeServer(http_response("503 Service Unavailable")).port, requests, 2, 0.1)
    assert failed.errors == len(failed.latencies) > 0
    cut_off = run_load(FakeServer(http_response("200 OK"), hangs_up=True).port, requests, 2, 0.2)
    assert (len(cut_off.latencies), cut_off.errors) == (6, 2)


def test_with_once_each_request_is_sent_once() -> None:
    requests = [build_request(f"/{number}") for number in range(50)]
    assert len(run_load(FakeServer(http_response("200 OK")).port, requests, 4, 5.0, once=True).latencies) == 50


def test_a_report_is_written(tmp_path: Path) -> None:
    size = ["--tracks", "300", "--listeners", "60", "--plays", "3000", "--connections", "1,8", "--seconds", "0.3"]
    command = [sys.executable, "-m", "benchmarks.load", *size, "--report", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + 1 + 6 * 2
    assert all(row.endswith("| 0 |") for row in rows[2:])
    assert (tmp_path / "report.html").read_text().count("<tr>") == 1 + 6 * 2
