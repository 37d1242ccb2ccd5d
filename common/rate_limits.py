"""How many requests in how long: rates of the settings, counted in windows that begin for everybody at once."""

import re
import threading
import time
from dataclasses import dataclass
from functools import lru_cache

from common.cache_keys import shared_cache

SECONDS = {"sec": 1, "min": 60, "hour": 3600, "day": 86400}
LEASES = 100  # of a rate in a window
MOST_LEASES = 10_000  # principals of whom a process knows; of more, it counts anew
FORM = re.compile(r"([1-9]\d{0,8})/(sec|min|hour|day)")


@dataclass(frozen=True)
class Hit:
    """count: requests in this window · now, ends: UNIX seconds, of the request and of the window."""

    count: int
    now: int
    ends: int

    @property
    def left(self) -> int:
        """Seconds."""
        return self.ends - self.now


@dataclass(frozen=True)
class Rate:
    """At most `count` in `seconds`."""

    count: int
    seconds: int
    unit: str

    def hit(self, principal: str, by: int = 1) -> Hit:
        """Count one request more, or `by`. A cache that is away counts none."""
        now = int(time.time())
        window = now // self.seconds
        [count] = shared_cache().hit([f"rate:{principal}:{self.seconds}:{window}"], self.seconds, by)
        return Hit(count, now, (window + 1) * self.seconds)

    def wait(self, principal: str, times: int = 1) -> int:
        """Count one request more; 0 if it may go on, else the seconds until the next window. times: so many times
        the rate."""
        hit = self.hit(principal)
        return hit.left if hit.count > self.count * times else 0


class Leases:
    """Requests counted in advance, a hundredth of a rate at once, so that not each of them asks the cache.

    Never more than the rate are let through. Of those that a process has counted and not used by the end of the window,
    a principal who comes to the others is short.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[tuple[str, int], tuple[int, int]] = {}

    def wait(self, rate: Rate, principal: str, requests: int = 1) -> int:
        """Count so many more; 0 if they may go on, else the seconds until the next window."""
        window, name = int(time.time()) // rate.seconds, (principal, rate.seconds)
        with self._lock:
            of, left = self._left.get(name, (window, 0))
            if of == window and left >= requests:
                self._left[name] = window, left - requests
                return 0
        size = max(requests, rate.count // LEASES)
        hit = rate.hit(principal, size)
        over = max(0, hit.count - rate.count)
        if size - over < requests:
            return hit.left
        with self._lock:
            if len(self._left) >= MOST_LEASES:
                self._left.clear()
            of, left = self._left.get(name, (window, 0))
            self._left[name] = window, (left if of == window else 0) + size - over - requests
        return 0


@lru_cache
def rate(text: str) -> Rate | None:
    """Of `600/min`, say; None for the empty text, which is no limit. Raises ValueError for anything else."""
    if not text:
        return None
    if (read := FORM.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no rate")
    return Rate(int(read[1]), SECONDS[read[2]], read[2])
