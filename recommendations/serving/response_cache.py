"""Answers that were given, kept for as long as they would be given again.

An answer is found by its question, and is good where everything that made it is as it was: nothing has to be
invalidated. In front is the memory of the process; behind it, where there is one, the Redis that all processes share.
Of those who ask the same at once, in whatever process, one computes and the others wait.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from django.conf import settings

from common.cache_keys import cache_key
from common.cache_keys import shared_cache as _far
from experiments.exposures.log import SlateRecord
from recommendations import metrics
from recommendations.serving.request_context import UNKNOWN, Revisions

NEAR_BYTES = 32 << 20  # of answers in the memory of a process
WAIT_SECONDS = 1.0  # for another who computes the same; then for oneself
LOOK_SECONDS = 0.01
_STRIPES = 64


@dataclass(frozen=True)
class CachedResponse:
    """etag, strategy: of the answer · body: its JSON · until: UNIX seconds when it ends · fresh: nobody has seen it
    yet, nor is it shared · shown: the slate to be noted then."""

    made_of: Hashable
    state: Revisions
    etag: str
    strategy: str
    body: bytes
    until: float
    fresh: bool = False
    shown: SlateRecord | None = None


class ResponseCache:
    """One a process; threads share it."""

    def __init__(self, near_bytes: int = NEAR_BYTES) -> None:
        self._near_bytes = near_bytes
        self._locks = [threading.Lock() for _ in range(_STRIPES)]
        self.forget()

    def forget(self) -> None:
        """As a process that has just started."""
        self._lock = threading.Lock()
        self._near: OrderedDict[Hashable, CachedResponse] = OrderedDict()
        self._bytes = 0

    def known(self, question: Hashable) -> Revisions:
        """The state in which this process knows the answer; of nothing where it knows none."""
        kept = self._near.get(question)
        return kept.state if kept and kept.until > time.time() else Revisions(UNKNOWN, UNKNOWN)

    def answer(
        self, question: Hashable, made_of: Hashable, state: Revisions, compute: Callable[[], CachedResponse]
    ) -> CachedResponse:
        """What is kept under the question and was made of the same, else what `compute` gives, which is kept.

        made_of: everything else than the question that decides the answer; its repr is what it is known by in Redis.
        """
        if not settings.MUSICREC["RESULTS_SECONDS"]:
            return compute()
        if kept := self._find(question, made_of):
            metrics.response_cache.labels("hit").inc()
            return kept
        with self._locks[hash(question) % _STRIPES]:
            if kept := self._find(question, made_of):
                metrics.response_cache.labels("wait").inc()
                return kept
            return self._keep(question, self._shared(question, made_of, state, compute))

    def near(self, question: Hashable, made_of: Hashable) -> CachedResponse | None:
        """What this process keeps."""
        found = self._find(question, made_of) if settings.MUSICREC["RESULTS_SECONDS"] else None
        if found and not found.fresh:
            metrics.response_cache.labels("hit").inc()
            return found
        return None

    def put(self, question: Hashable, kept: CachedResponse) -> CachedResponse:
        """Keep in this process what was computed with many others."""
        metrics.response_cache.labels("miss").inc()
        if settings.MUSICREC["RESULTS_SECONDS"]:
            self._keep(question, replace(kept, fresh=False, shown=None))
        return kept

    def seen(self, question: Hashable, kept: CachedResponse) -> None:
        """A fresh answer goes out: from now on it is an answer like any other, and everybody's."""
        with self._lock:
            if self._near.get(question) is kept:
                self._near[question] = replace(kept, fresh=False, shown=None)
        if seconds := settings.MUSICREC["RESULTS_SECONDS"]:
            _far().share(_name(question, kept.made_of), _packed(kept), seconds)
            metrics.response_cache_bytes.inc(len(kept.body))

    def unseen(self, question: Hashable, kept: CachedResponse) -> None:
        """It does not go out, for whoever asked has it already: nobody waits for it any longer."""
        if settings.MUSICREC["RESULTS_SECONDS"]:
            _far().release(_name(question, kept.made_of))

    def _shared(
        self, question: Hashable, made_of: Hashable, state: Revisions, compute: Callable[[], CachedResponse]
    ) -> CachedResponse:
        """From Redis, or computed."""
        name = _name(question, made_of)
        packed, mine = _far().find_or_claim(name, WAIT_SECONDS)
        waited = False
        deadline = time.monotonic() + WAIT_SECONDS
        while packed is None and not mine and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            waited = True
            packed, mine = _far().find_or_claim(name, WAIT_SECONDS)
        if packed is not None:
            metrics.response_cache.labels("wait" if waited else "hit").inc()
            return _unpacked(packed, made_of, state)
        metrics.response_cache.labels("miss").inc()
        try:
            return compute()
        except BaseException:
            _far().release(name)  # whoever waits for it need not
            raise

    def _find(self, question: Hashable, made_of: Hashable) -> CachedResponse | None:
        kept = self._near.get(question)
        return kept if kept and kept.made_of == made_of and kept.until > time.time() else None

    def _keep(self, question: Hashable, kept: CachedResponse) -> CachedResponse:
        with self._lock:
            if before := self._near.pop(question, None):
                self._bytes -= len(before.body)
            self._near[question] = kept
            self._bytes += len(kept.body)
            while self._bytes > self._near_bytes:
                self._bytes -= len(self._near.popitem(last=False)[1].body)
        return kept


def _name(question: Hashable, made_of: Hashable) -> str:
    return cache_key("result", question, made_of)


def _packed(kept: CachedResponse) -> bytes:
    return f"{kept.until:.0f} {kept.strategy} {kept.etag}\n".encode() + kept.body


def _unpacked(packed: bytes, made_of: Hashable, state: Revisions) -> CachedResponse:
    head, _, body = packed.partition(b"\n")
    until, strategy, etag = head.decode().split(" ", 2)
    return CachedResponse(made_of, state, etag, strategy, body, float(until))


response_cache = ResponseCache()
