import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from limits import RateLimitItemPerDay
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis import Redis

from common import redis_client
from common.redis_client import FailSoftRedisCache, call_redis, circuit_breaker
from common.stale_listeners import add_stale_listeners, pop_stale_listeners
from musicrec.processes import ROOT
from tests.postgres import free_port
from tests.valkey import SilenceableValkey

SILENT_SECONDS = 1.0  # a generous limit for calls that may take TIMEOUT_SECONDS twice: to connect and to read
needs_redis = pytest.mark.skipif(os.environ.get("MUSICREC_TEST_STACK") != "production", reason="needs Valkey")


@pytest.fixture(autouse=True)
def _closed_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    for attribute in ("_paused_until", "_next_warning_at"):
        monkeypatch.setattr(circuit_breaker, attribute, float("-inf"))


@pytest.fixture(params=["refuses connections", "never responds"])
def unreachable_cache(request: pytest.FixtureRequest) -> Iterator[FailSoftRedisCache]:
    with closing(socket.socket()) as server:
        port = free_port()
        if request.param == "never responds":
            server.bind(("127.0.0.1", port))
            server.listen()
        yield FailSoftRedisCache(f"redis://127.0.0.1:{port}/0", {})


@pytest.fixture
def redis_cache(settings: Any) -> FailSoftRedisCache:
    return FailSoftRedisCache(settings.REDIS_URL, {"KEY_PREFIX": uuid.uuid4().hex})


def test_an_unavailable_cache_delays_one_call_and_is_logged_once(
    unreachable_cache: FailSoftRedisCache, caplog: pytest.LogCaptureFixture
) -> None:
    started = time.monotonic()
    assert unreachable_cache.incr("a") == 1
    assert time.monotonic() - started < 0.8
    started = time.monotonic()
    assert [unreachable_cache.incr("a") for _ in range(100)] == [1] * 100
    assert time.monotonic() - started < 0.1
    assert len(caplog.records) == 1


def test_an_unavailable_cache_is_empty_and_stores_nothing(unreachable_cache: FailSoftRedisCache) -> None:
    assert unreachable_cache.add("a", 1) is False
    unreachable_cache.set("a", 1)
    assert unreachable_cache.get("a") is None
    assert unreachable_cache.get("a", "default") == "default"
    assert unreachable_cache.get_or_set("a", 7) == 7
    assert unreachable_cache.get_many(["a", "b"]) == {}
    assert unreachable_cache.set_many({"a": 1, "b": 2}) == ["a", "b"]
    assert unreachable_cache.has_key("a") is False
    assert unreachable_cache.touch("a") is False
    assert unreachable_cache.delete("a") is False
    unreachable_cache.delete_many(["a", "b"])
    unreachable_cache.clear()


@needs_redis
def test_redis_is_called_again_after_the_pause(
    unreachable_cache: FailSoftRedisCache, redis_cache: FailSoftRedisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_cache.set("a", b"value", 60)
    monkeypatch.setattr(redis_client, "PAUSE_SECONDS", 0.05)
    assert unreachable_cache.get("a") is None
    assert redis_cache.get("a") is None
    time.sleep(0.06)
    assert redis_cache.get("a") == b"value"


@needs_redis
def test_it_stores_values_as_djangos_cache_does(redis_cache: FailSoftRedisCache) -> None:
    assert redis_cache.set_many({"a": b"\x00bytes", "b": [1]}, 60) == []
    assert redis_cache.get_many(["a", "b", "c"]) == {"a": b"\x00bytes", "b": [1]}
    assert redis_cache.add("count", 0, 60) is True
    assert redis_cache.incr("count", 5) == 5
    with pytest.raises(ValueError, match="not found"):
        redis_cache.incr("missing")


def test_other_errors_are_not_hidden() -> None:
    def fail(client: Redis | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call_redis(fail, None, default=None)


@pytest.fixture
def silent_valkey() -> Iterator[SilenceableValkey]:
    server = SilenceableValkey()
    server.start()
    server.silence()
    yield server
    server.stop()


@needs_redis
def test_a_silent_server_is_given_up_after_the_timeout_and_used_again_when_it_answers(
    silent_valkey: SilenceableValkey, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = url = silent_valkey.url
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 10}
    cache = FailSoftRedisCache(url, {})
    monkeypatch.setattr(redis_client, "PAUSE_SECONDS", 0.0)  # so that each of these calls waits for the server
    storage = RedisStorage(url, connection_pool=redis_client.redis_client().connection_pool)
    calls: dict[str, Callable[[], Any]] = {
        "cache": lambda: cache.set("a", b"value", 60),
        "limits": lambda: call_redis(
            lambda: FixedWindowRateLimiter(storage).hit(RateLimitItemPerDay(1), "a"), default=0
        ),
        "add": lambda: add_stale_listeners([7]),
        "pop": lambda: pop_stale_listeners(10),
    }
    for name, call in calls.items():
        started = time.monotonic()
        call()
        assert time.monotonic() - started < SILENT_SECONDS, name
    silent_valkey.resume()
    cache.set("a", b"value", 60)
    assert cache.get("a") == b"value"
    add_stale_listeners([7])
    assert pop_stale_listeners(10) == [7]


@pytest.mark.one_stack
def test_every_client_has_timeouts() -> None:
    """A client of redis-py is created only where the timeouts are set."""
    creates = re.compile(r"\bRedis\(|\bfrom_url\(|ConnectionPool\(")
    packages = (folder for folder in ROOT.iterdir() if (folder / "__init__.py").exists() and folder.name != "tests")
    files = [
        str(file.relative_to(ROOT))
        for package in packages
        for file in package.rglob("*.py")
        if creates.search(file.read_text())
    ]
    assert files == ["common/redis_client.py"]
