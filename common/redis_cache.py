"""What the cache backends have beyond Django's interface; to be removed with its last users."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django.core.cache.backends.locmem import LocMemCache as DjangoLocMemCache
from redis import Redis

from common.redis_client import FailSoftRedisCache, call_redis

T = TypeVar("T")


class RedisCache(FailSoftRedisCache):
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

    def release(self, key: str) -> None:
        """It is not made after all."""
        self._try(lambda client: client.delete(f"{self.make_and_validate_key(key)}:claim"), 0)

    def _try(self, work: Callable[[Redis], T], otherwise: T) -> T:
        client: Any = self._cache
        return call_redis(lambda: work(client.get_client()), default=otherwise)


class LocMemCache(DjangoLocMemCache):
    """Shares nothing between processes."""

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
