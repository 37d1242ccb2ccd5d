"""Redis with short timeouts and a circuit breaker, so that the service keeps working while Redis is unavailable.

`FailSoftRedisCache` is the project's cache backend. Code that needs more of Redis than Django's cache API has calls it
through `call_redis(function, ..., default=...)`, with the client from `redis_client()`.
"""

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache, RedisCacheClient, RedisSerializer
from redis import Redis, RedisError, ResponseError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)
T = TypeVar("T")
TIMEOUT_SECONDS = 0.2  # to connect, and again for each response
HEALTH_CHECK_SECONDS = 10
PAUSE_SECONDS = 5.0  # Redis is not called again for this long after a failure
WARNING_INTERVAL_SECONDS = 60.0
CHECKSUM_BYTES = 4
UNDECODABLE = object()


def create_client(url: str, timeout_seconds: float) -> Redis:
    """Return a new client that gives up after `timeout_seconds`: to connect, to write and to read.

    Every client is created here, so that none waits without limit for a server that accepts connections and is silent.
    A connection that was idle for longer than HEALTH_CHECK_SECONDS is tested by a PING before it is used.
    """
    return Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),  # by default, redis-py would try three more times, a second apart
        socket_connect_timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        health_check_interval=HEALTH_CHECK_SECONDS,
    )


def redis_client() -> Redis:
    """Return this process's client of `settings.REDIS_URL`."""
    return _client_for(settings.REDIS_URL)


@lru_cache(maxsize=8)
def _client_for(url: str) -> Redis:
    return create_client(url, TIMEOUT_SECONDS)


class CircuitBreaker:
    """A guard around calls to Redis: after one has failed, no other is attempted for PAUSE_SECONDS.

    A process has one breaker for all threads. They share it without a lock, because a late reader merely makes one
    more call.
    """

    def __init__(self) -> None:
        self._paused_until = self._next_warning_at = float("-inf")  # of the monotonic clock

    def call(self, function: Callable[..., T], *args: Any, default: T) -> T:
        """Return `function(*args)`, or the default if Redis does not answer or refuses the command."""
        if time.monotonic() < self._paused_until:
            return default
        try:
            return function(*args)
        except ResponseError as error:  # it answers at once; a key may hold a value of another type
            self._warn("Redis refuses a command: %s", error)
        except (RedisError, OSError) as error:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            self._warn("Redis does not answer; requests are not counted and nothing is cached in it: %s", error)
        return default

    def _warn(self, message: str, error: Exception) -> None:
        if (now := time.monotonic()) >= self._next_warning_at:
            self._next_warning_at = now + WARNING_INTERVAL_SECONDS
            logger.warning(message, error)


circuit_breaker = CircuitBreaker()
call_redis = circuit_breaker.call


class ChecksummedSerializer(RedisSerializer):
    """Django's serializer with a checksum in front of each pickle.

    Whatever else is stored under a key – damaged, cut off, written by another program or in another format – is decoded
    as UNDECODABLE: neither an error nor a wrong value.
    """

    def dumps(self, obj: Any) -> Any:
        value = super().dumps(obj)
        return value if isinstance(value, int) else _checksum(value) + value

    def loads(self, data: Any) -> Any:
        if data[:CHECKSUM_BYTES] == _checksum(data[CHECKSUM_BYTES:]):
            try:
                return super().loads(data[CHECKSUM_BYTES:])
            except Exception:  # a class that this release does not have raises AttributeError, for example
                logger.warning("a value in Redis cannot be decoded", exc_info=True)
                return UNDECODABLE
        try:
            return int(data)
        except ValueError:
            return UNDECODABLE


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(CHECKSUM_BYTES)


class _SharedConnectionsClient(RedisCacheClient):
    """A cache client for which undecodable values are missing, and that reuses one Redis client per process.

    Django's creates a new one for every command, which takes longer than the command.
    """

    def get(self, key: Any, default: Any) -> Any:
        value = super().get(key, default)
        return default if value is UNDECODABLE else value

    def get_many(self, keys: Any) -> dict[Any, Any]:
        return {key: value for key, value in super().get_many(keys).items() if value is not UNDECODABLE}

    def get_client(self, key: Any = None, *, write: bool = False) -> Redis:
        return _client_for(self._servers[0])  # type: ignore[attr-defined]


class FailSoftRedisCache(RedisCache):
    """Django's Redis cache, except that keys are missing and nothing is stored while Redis is unavailable.

    Values that cannot be decoded are missing as well.
    """

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(
            server, params | {"OPTIONS": {"serializer": ChecksummedSerializer} | params.get("OPTIONS", {})}
        )
        self._class = _SharedConnectionsClient

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return call_redis(super().add, key, value, timeout, version, default=False)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return call_redis(super().get, key, default, version, default=default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        call_redis(super().set, key, value, timeout, version, default=None)

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return call_redis(super().touch, key, timeout, version, default=False)

    def delete(self, key: Any, version: int | None = None) -> bool:
        return call_redis(super().delete, key, version, default=False)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return call_redis(super().has_key, key, version, default=False)

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Return the new count, or `delta` while Redis is unavailable, as if nothing had been counted before.

        Raises:
            ValueError: if Redis answers and has no such key.
        """
        return call_redis(super().incr, key, delta, version, default=delta)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        return call_redis(super().get_many, keys, version, default={})

    def set_many(
        self, data: Mapping[Any, Any], timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Store all in one round trip; return the keys that were not stored."""
        return call_redis(super().set_many, data, timeout, version, default=list(data))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        call_redis(super().delete_many, keys, version, default=None)

    def clear(self) -> None:
        call_redis(super().clear, default=None)
