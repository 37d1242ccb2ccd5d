"""A load generator: connections that each send a request, wait for the answer, and send the next one.

It is a small asyncio protocol, because the client must cost less than the server that it shares the cores with: 50 µs
per answer, where Locust takes more than a millisecond.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

GRACE_SECONDS = 10.0  # how long an answer may still take after the end of the run


@dataclass
class LoadResult:
    """The measurements of one run.

    Attributes:
        seconds: from the start to the last answer.
        latencies: seconds of each answer, float64 (n,), in order of arrival.
        at: when each answer arrived, seconds since the start, float64 (n,).
        errors: answers other than 200, and connections that were closed or never answered.
    """

    seconds: float
    latencies: NDArray[np.float64]
    at: NDArray[np.float64]
    errors: int

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """Return a percentile of the latencies in milliseconds, NaN without answers."""
        return 1000 * float(np.percentile(self.latencies, percent)) if len(self.latencies) else float("nan")


def build_request(path: str, credential: str = "", body: bytes = b"") -> bytes:
    """Return a GET request, or with a body of JSON a POST request."""
    headers = f"Authorization: {credential}\r\n" if credential else ""
    if body:
        headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode() + body


def run_load(
    port: int, requests: Sequence[bytes], connections: int, seconds: float, *, once: bool = False, pause: float = 0.0
) -> LoadResult:
    """Send the requests in turn for `seconds`, again from the first one; with `once`, send each at most once.

    Args:
        pause: seconds that each connection waits after an answer; they begin one after the other within that time.
    """
    in_turn = iter(requests) if once else itertools.cycle(requests)
    return asyncio.run(_run_load(port, in_turn, connections, seconds, pause))


@dataclass
class _Run:
    """The state that the connections of a run share."""

    requests: Iterator[bytes]
    started: float
    until: float
    pause: float = 0.0
    latencies: list[float] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    errors: int = 0

    def add_answer(self, now: float, latency: float, *, ok: bool) -> None:
        self.latencies.append(latency)
        self.at.append(now - self.started)
        self.errors += not ok


async def _run_load(port: int, requests: Iterator[bytes], connections: int, seconds: float, pause: float) -> LoadResult:
    loop, now = asyncio.get_running_loop(), time.perf_counter()
    run = _Run(requests, now, now + seconds, pause)
    closed = [loop.create_future() for _ in range(connections)]
    await asyncio.gather(
        *(
            loop.create_connection(lambda n=n, f=f: _Connection(run, f, n * pause / connections), "127.0.0.1", port)
            for n, f in enumerate(closed)
        )
    )
    _, unanswered = await asyncio.wait(closed, timeout=seconds + GRACE_SECONDS)
    duration = max(run.at, default=seconds)
    return LoadResult(duration, np.array(run.latencies), np.array(run.at), run.errors + len(unanswered))


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run, closed: "asyncio.Future[None]", delay: float) -> None:
        self._run, self._closed, self._delay = run, closed, delay
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send_after(self._delay)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._size is None and (head := self._received.find(b"\r\n\r\n")) >= 0:
            self._size = head + 4 + _content_length(self._received[:head])
        if self._size is not None and len(self._received) >= self._size:
            now = time.perf_counter()
            self._run.add_answer(now, now - self._sent_at, ok=self._received.startswith(b"HTTP/1.1 200"))
            self._is_waiting = False
            self._send_after(self._run.pause)

    def connection_lost(self, error: Exception | None) -> None:
        self._run.errors += self._is_waiting
        if not self._closed.done():
            self._closed.set_result(None)

    def _send_after(self, delay: float) -> None:
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send_next)
        else:
            self._send_next()

    def _send_next(self) -> None:
        """Send the next request, or close the connection if there is none or the time is up."""
        now = time.perf_counter()
        request = next(self._run.requests, None) if now < self._run.until else None
        self._is_waiting = request is not None
        if request is None:
            self._transport.close()
            return
        self._received, self._size, self._sent_at = b"", None, now
        self._transport.write(request)


def _content_length(head: bytes) -> int:
    """Return the length of the body.

    Raises:
        ValueError: for an answer without Content-Length.
    """
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without Content-Length: {head!r}")
