"""What the cache backends have beyond Django's interface; to be removed with its last users."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from django.core.cache.backends.locmem import LocMemCache as DjangoLocMemCache
from redis import Redis

from common.redis_client import FailSoftRedisCache, call_redis

T = TypeVar("T")


class RedisCache(FailSoftRedisCache):
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
        client: Any = self._cache
        return call_redis(lambda: work(client.get_client()), default=otherwise)


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
