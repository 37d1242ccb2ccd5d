"""How many requests in how long: rates of the settings, counted in windows that begin for everybody at once."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.core.cache import cache

SECONDS = {"sec": 1, "min": 60, "hour": 3600, "day": 86400}
FORM = re.compile(r"([1-9]\d{0,8})/(sec|min|hour|day)")


@dataclass(frozen=True)
class Rate:
    """At most `count` in `seconds`."""

    count: int
    seconds: int
    unit: str

    def wait(self, principals: Sequence[str], times: int = 1) -> int:
        """Count one request of each; 0 if it may go on, else the seconds until the next window.

        times: so many times the rate. A cache that is away lets all go on.
        """
        now = int(time.time())
        window = now // self.seconds
        counting: Any = cache  # one of musicrec.cache
        counts: list[int] = counting.hit([f"rate:{p}:{self.seconds}:{window}" for p in principals], self.seconds)
        return (window + 1) * self.seconds - now if max(counts, default=0) > self.count * times else 0


@lru_cache
def rate(text: str) -> Rate | None:
    """Of `600/min`, say; None for the empty text, which is no limit. Raises ValueError for anything else."""
    if not text:
        return None
    if (read := FORM.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no rate")
    return Rate(int(read[1]), SECONDS[read[2]], read[2])
