"""Django's cache, and a counter in it that costs one round trip.

A Redis that is away counts nothing: nobody waits for it longer than a moment, and then not at all for some seconds.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.core.cache.backends.locmem import LocMemCache as DjangoLocMemCache
from django.core.cache.backends.redis import RedisCache as DjangoRedisCache
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)
TIMEOUT_SECONDS = 0.2
AWAY_SECONDS = 5.0  # how long it is left alone after it did not answer
SAID_SECONDS = 60.0


class RedisCache(DjangoRedisCache):
    _away_until = _said_at = float("-inf")  # of the class: each thread has an object of its own

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        waits = {"socket_connect_timeout": TIMEOUT_SECONDS, "socket_timeout": TIMEOUT_SECONDS}
        # Without it redis-py tries three more times, a second apart.
        options = {"retry": Retry(NoBackoff(), 0), **waits, **params.get("OPTIONS", {})}
        super().__init__(server, {**params, "OPTIONS": options})

    def hit(self, keys: Sequence[str], seconds: int) -> list[int]:
        """Counts one more of each; gives their counts, or zeros where nothing answers. They end after `seconds`."""
        if time.monotonic() < RedisCache._away_until:
            return [0] * len(keys)
        try:
            pipe = self._cache.get_client(write=True).pipeline(transaction=False)
            for key in map(self.make_and_validate_key, keys):
                pipe.set(key, 0, ex=seconds, nx=True)
                pipe.incr(key)
            return [int(count) for count in pipe.execute()[1::2]]
        except (RedisError, OSError) as error:
            self._is_away(error)
            return [0] * len(keys)

    def _is_away(self, error: Exception) -> None:
        now = time.monotonic()
        RedisCache._away_until = now + AWAY_SECONDS
        if now - RedisCache._said_at > SAID_SECONDS:
            RedisCache._said_at = now
            logger.warning("the cache does not answer, so requests are not counted: %s", error)


class LocMemCache(DjangoLocMemCache):
    """Each process counts for itself."""

    def hit(self, keys: Sequence[str], seconds: int) -> list[int]:
        return [self._hit(key, seconds) for key in keys]

    def _hit(self, key: str, seconds: int) -> int:
        self.add(key, 0, seconds)
        try:
            return self.incr(key)
        except ValueError:  # it ended, or made room for others, in between
            return 1
