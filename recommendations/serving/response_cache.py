"""Cache answers for as long as they would come out the same.

An entry is found by its request and is valid while everything else it depends on is unchanged, so nothing has to be
invalidated. The memory of the process comes first; behind it is Django's cache, which all processes share where it is
Redis.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from cachetools import LRUCache
from django.conf import settings
from django.core.cache import cache as shared_cache

from common.cache_keys import cache_key
from experiments.exposures.log import SlateRecord, slate_log
from recommendations import metrics
from recommendations.serving.request_context import Revisions

LOCAL_BYTES = 32 << 20  # of response bodies in the memory of a process


@dataclass
class CachedResponse:
    """An answer, ready to be sent.

    Attributes:
        dependencies: everything besides the request that determines the answer.
        revisions: those of the listener and the catalogue.
        body: the JSON document.
        expires_at: UNIX seconds.
        slates: what to log when the answer is delivered for the first time.
        delivered: whether somebody received it and its slates are logged. Only delivered answers are shared with other
            processes.
    """

    dependencies: Hashable
    revisions: Revisions
    etag: str
    strategy: str
    body: bytes
    expires_at: float
    slates: Sequence[SlateRecord] = ()
    delivered: bool = True


class ResponseCache:
    """The answers that one process knows, shared by its threads, and the way to those of the others."""

    def __init__(self, local_bytes: int = LOCAL_BYTES) -> None:
        self._local_bytes = local_bytes
        self.clear()

    def clear(self) -> None:
        """Forget the local answers."""
        self._lock = threading.Lock()
        self._local: LRUCache[Hashable, CachedResponse] = LRUCache(self._local_bytes, lambda r: len(r.body))
        self._computing: dict[Hashable, threading.Lock] = {}

    def get_local(self, request: Hashable, dependencies: Hashable = None) -> CachedResponse | None:
        """Return the answer in the memory of this process, unless it expired or its dependencies changed.

        Without dependencies, any answer to the request that has not expired.
        """
        with self._lock:
            response = self._local.get(request)
        if response is None or response.expires_at < time.time():
            return None
        return response if dependencies is None or response.dependencies == dependencies else None

    def get_shared(self, request: Hashable, dependencies: Hashable, revisions: Revisions) -> CachedResponse | None:
        """Return the answer that another process delivered, and keep it locally; None without Redis."""
        if not (settings.REDIS_URL and settings.MUSICREC["RESULTS_SECONDS"]):
            return None
        match shared_cache.get(cache_key("result", request, dependencies)):
            case str(etag), str(strategy), bytes(body), (int() | float()) as expires_at:
                response = CachedResponse(dependencies, revisions, etag, strategy, body, expires_at)
                self.add(request, response)
                return response
        return None

    def add(self, request: Hashable, response: CachedResponse) -> None:
        """Keep an answer in the memory of this process."""
        if settings.MUSICREC["RESULTS_SECONDS"] and len(response.body) <= self._local_bytes:
            with self._lock:
                self._local[request] = response

    def deliver(self, request: Hashable, response: CachedResponse) -> None:
        """Log the slates of an answer that is sent for the first time, and share the answer with the other processes.

        An answer whose slate the log drops cannot be continued. It counts as undelivered, so that its slates are logged
        when it is sent again.
        """
        with self._lock:
            if response.delivered:
                return
            response.delivered = True
        if not all(slate_log.add(slate) for slate in response.slates):
            response.delivered = False
            return
        seconds = settings.MUSICREC["RESULTS_SECONDS"]
        if settings.REDIS_URL and seconds:  # Django's cache in local memory would only keep a second copy
            entry = response.etag, response.strategy, response.body, response.expires_at
            shared_cache.set(cache_key("result", request, response.dependencies), entry, seconds)
            metrics.response_cache_bytes.inc(len(response.body))

    def get_or_compute(
        self,
        request: Hashable,
        dependencies: Hashable,
        revisions: Revisions,
        compute: Callable[[], CachedResponse],
        is_shared: bool = True,
    ) -> tuple[CachedResponse, str]:
        """Return the answer to a request, and its origin: "hit", "miss", or "wait" if another thread computed it.

        Args:
            request: by which the answer is found.
            dependencies: everything else that determines it.
            revisions: those of the listener and the catalogue.
            compute: returns the answer if no cache has it.
            is_shared: whether another process may have it.
        """
        response, origin = self.get_local(request, dependencies), "hit"
        if response is None:
            with self.computing(request):
                response, origin = self.get_local(request, dependencies), "wait"
                if response is None and is_shared:
                    response, origin = self.get_shared(request, dependencies, revisions), "hit"
                if response is None:
                    response, origin = compute(), "miss"
                    self.add(request, response)
        metrics.response_cache.labels(origin).inc()
        return response, origin

    @contextmanager
    def computing(self, request: Hashable) -> Iterator[None]:
        """Let one thread at a time compute the answer to a request; the others find it in the cache."""
        with self._lock:
            lock = self._computing.setdefault(request, threading.Lock())
        with lock:
            try:
                yield
            finally:
                self._computing.pop(request, None)


response_cache = ResponseCache()
