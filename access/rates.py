"""How many requests in how long: rates of the settings, counted in windows that begin for everybody at once."""

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.core.cache import cache

SECONDS = {"sec": 1, "min": 60, "hour": 3600, "day": 86400}
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

    def hit(self, principal: str) -> Hit:
        """Count one request more. A cache that is away counts none."""
        now = int(time.time())
        window = now // self.seconds
        counting: Any = cache  # one of musicrec.cache
        [count] = counting.hit([f"rate:{principal}:{self.seconds}:{window}"], self.seconds)
        return Hit(count, now, (window + 1) * self.seconds)

    def wait(self, principal: str, times: int = 1) -> int:
        """Count one request more; 0 if it may go on, else the seconds until the next window. times: so many times
        the rate."""
        hit = self.hit(principal)
        return hit.left if hit.count > self.count * times else 0


@lru_cache
def rate(text: str) -> Rate | None:
    """Of `600/min`, say; None for the empty text, which is no limit. Raises ValueError for anything else."""
    if not text:
        return None
    if (read := FORM.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no rate")
    return Rate(int(read[1]), SECONDS[read[2]], read[2])
