"""Many connections that each ask, wait for the answer, and ask again.

A protocol of some forty lines on asyncio, since it must cost less than what it measures on the cores they share: 50 µs
an answer, where Locust takes over a millisecond.
"""

import asyncio
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PATIENCE = 10.0  # seconds that an answer may take beyond the end


@dataclass
class Measured:
    """latencies: seconds of each answer, float64 (n,), in the order in which they came · at: when each came, seconds
    since the beginning · errors: answers that were not 200, and connections that ended or hung."""

    seconds: float
    latencies: NDArray[np.float64]
    at: NDArray[np.float64]
    errors: int

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """In milliseconds."""
        return 1000 * float(np.percentile(self.latencies, percent)) if len(self.latencies) else float("nan")


def request(path: str, credential: str = "") -> bytes:
    authorization = f"Authorization: {credential}\r\n" if credential else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\n".encode()


def load(port: int, requests: Sequence[bytes], connections: int, seconds: float, *, once: bool = False) -> Measured:
    """Ask in turn for `seconds`. once: or until each request has been asked."""
    return asyncio.run(_load(port, iter(requests) if once else itertools.cycle(requests), connections, seconds))


@dataclass
class _Run:
    requests: Iterator[bytes]
    began: float
    until: float
    latencies: list[float] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    errors: int = 0

    def answered(self, now: float, latency: float, *, well: bool) -> None:
        self.latencies.append(latency)
        self.at.append(now - self.began)
        self.errors += not well


async def _load(port: int, requests: Iterator[bytes], connections: int, seconds: float) -> Measured:
    loop, now = asyncio.get_running_loop(), time.perf_counter()
    run = _Run(requests, now, now + seconds)
    ended = [loop.create_future() for _ in range(connections)]
    await asyncio.gather(*(loop.create_connection(lambda e=e: _Connection(run, e), "127.0.0.1", port) for e in ended))
    _, hung = await asyncio.wait(ended, timeout=seconds + PATIENCE)
    took = max(run.at, default=seconds)
    return Measured(took, np.array(run.latencies), np.array(run.at), run.errors + len(hung))


class _Connection(asyncio.Protocol):
    def __init__(self, run: _Run, ended: "asyncio.Future[None]") -> None:
        self._run, self._ended = run, ended
        self._waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._size is None and (head := self._received.find(b"\r\n\r\n")) >= 0:
            self._size = head + 4 + _length(self._received[:head])
        if self._size is not None and len(self._received) >= self._size:
            now = time.perf_counter()
            self._run.answered(now, now - self._asked, well=self._received.startswith(b"HTTP/1.1 200"))
            self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        self._run.errors += self._waiting
        if not self._ended.done():
            self._ended.set_result(None)

    def _ask(self) -> None:
        now = time.perf_counter()
        asked = next(self._run.requests, None) if now < self._run.until else None
        self._waiting = asked is not None
        if asked is None:
            self._transport.close()
            return
        self._received, self._size, self._asked = b"", None, now
        self._transport.write(asked)


def _length(head: bytes) -> int:
    """Of the body. Raises ValueError for an answer that does not say."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without Content-Length: {head!r}")
