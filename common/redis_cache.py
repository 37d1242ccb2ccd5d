"""Django's cache, and what its own interface does not have: a counter in one round trip; values that one process makes
while the others wait.

A Redis that is away counts nothing: nobody waits for it longer than a moment, and then not at all for some seconds.
"""

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

from django.core.cache.backends.locmem import LocMemCache as DjangoLocMemCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)
T = TypeVar("T")
TIMEOUT_SECONDS = 0.2
AWAY_SECONDS = 5.0  # how long it is left alone after it did not answer
SAID_SECONDS = 60.0


def connection_options(seconds: float) -> dict[str, Any]:
    """Options of a client of Redis that waits no longer, to connect and again for an answer."""
    # Without `retry`, redis-py tries three more times, a second apart.
    return {"retry": Retry(NoBackoff(), 0), "socket_connect_timeout": seconds, "socket_timeout": seconds}


class RedisCache(DjangoRedisCache):
    _away_until = _said_at = float("-inf")  # of the class: each thread has an object of its own

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(
            server, {**params, "OPTIONS": {**connection_options(TIMEOUT_SECONDS), **params.get("OPTIONS", {})}}
        )

    @cached_property
    def _redis(self) -> Redis:
        """Once: Django makes one for each command, which takes several times as long as the command."""
        client: Redis = self._cache.get_client(write=True)
        return client

    def hit(self, keys: Sequence[str], seconds: int, by: int = 1) -> list[int]:
        """Counts `by` more of each; gives their counts, or zeros where nothing answers. They end after `seconds`."""

        def count(client: Redis) -> list[int]:
            pipe = client.pipeline(transaction=False)
            for key in map(self.make_and_validate_key, keys):
                pipe.set(key, 0, ex=seconds, nx=True)
                pipe.incr(key, by)
            return [int(count) for count in pipe.execute()[1::2]]

        return self._try(count, [0] * len(keys))

    def find_or_claim(self, key: str, seconds: float) -> tuple[bytes | None, bool]:
        """What is shared under the key; else whether making it is up to the caller. Who makes it shares or releases it;
        who does neither within `seconds` is not waited for."""

        def look(client: Redis) -> tuple[bytes | None, bool]:
            pipe = client.pipeline(transaction=False)
            pipe.get(name)
            pipe.set(f"{name}:claim", 1, px=int(seconds * 1000), nx=True)
            value, claimed = pipe.execute()
            return value, bool(claimed)

        name = self.make_and_validate_key(key)
        away: tuple[bytes | None, bool] = None, True
        return self._try(look, away)

    def share(self, key: str, value: bytes, seconds: int) -> None:
        def write(client: Redis) -> None:
            pipe = client.pipeline(transaction=False)
            pipe.set(name, value, ex=seconds)
            pipe.delete(f"{name}:claim")
            pipe.execute()

        name = self.make_and_validate_key(key)
        self._try(write, None)

    def find(self, key: str) -> bytes | None:
        """What is shared under the key."""
        found: bytes | None = self._try(lambda client: client.get(self.make_and_validate_key(key)), None)  # type: ignore[assignment]
        return found

    def share_many(self, values: Mapping[str, bytes], seconds: int) -> None:
        def write(client: Redis) -> None:
            pipe = client.pipeline(transaction=False)
            for key, value in values.items():
                pipe.set(self.make_and_validate_key(key), value, ex=seconds)
            pipe.execute()

        self._try(write, None)

    def add_members(self, key: str, members: Collection[int], most: int) -> None:
        """To a set, which keeps `most` of them."""
        name = self.make_and_validate_key(key)

        def add(client: Redis) -> None:
            pipe = client.pipeline(transaction=False)
            pipe.sadd(name, *members)
            pipe.scard(name)
            if (beyond := pipe.execute()[1] - most) > 0:
                client.spop(name, beyond)

        self._try(add, None)

    def pop_members(self, key: str, count: int) -> list[bytes]:
        """Takes up to `count` out of a set."""

        def take(client: Redis) -> list[bytes]:
            return list(client.spop(self.make_and_validate_key(key), count) or [])  # type: ignore[arg-type]

        return self._try(take, [])

    def release(self, key: str) -> None:
        """It is not made after all."""
        self._try(lambda client: client.delete(f"{self.make_and_validate_key(key)}:claim"), 0)

    def _try(self, work: Callable[[Redis], T], otherwise: T) -> T:
        """Nobody waits long for a Redis that is away, and then not at all for some seconds."""
        if time.monotonic() < RedisCache._away_until:
            return otherwise
        try:
            return work(self._redis)
        except (RedisError, OSError) as error:
            self._is_away(error)
            return otherwise

    def _is_away(self, error: Exception) -> None:
        now = time.monotonic()
        RedisCache._away_until = now + AWAY_SECONDS
        if now - RedisCache._said_at > SAID_SECONDS:
            RedisCache._said_at = now
            logger.warning("the cache does not answer, so requests are not counted and answers not shared: %s", error)


class LocMemCache(DjangoLocMemCache):
    """Each process counts for itself, and shares nothing."""

    def hit(self, keys: Sequence[str], seconds: int, by: int = 1) -> list[int]:
        return [self._hit(key, seconds, by) for key in keys]

    def find_or_claim(self, key: str, seconds: float) -> tuple[bytes | None, bool]:
        return None, True

    def share(self, key: str, value: bytes, seconds: int) -> None:
        pass

    def release(self, key: str) -> None:
        pass

    def find(self, key: str) -> bytes | None:
        return None

    def share_many(self, values: Mapping[str, bytes], seconds: int) -> None:
        pass

    def add_members(self, key: str, members: Collection[int], most: int) -> None:
        pass

    def pop_members(self, key: str, count: int) -> list[bytes]:
        return []

    def _hit(self, key: str, seconds: int, by: int) -> int:
        self.add(key, 0, seconds)
        try:
            return self.incr(key, by)
        except ValueError:  # it ended, or made room for others, in between
            return by
