"""Values in Redis that cannot be decoded are missing: they change no answer, and are replaced."""

import pickle
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from rest_framework.test import APIClient

from access.models import User
from access.throttles import limiter, parse_rate
from common.redis_client import circuit_breaker, redis_client
from common.stale_listeners import REDIS_KEY, add_stale_listeners, pop_stale_listeners
from recommendations.serving.precompute import precompute_rankings
from recommendations.serving.response_cache import response_cache
from recommendations.training.run import run_training
from tests.people import CatalogueFactory

pytestmark = pytest.mark.skipif(not django_settings.REDIS_URL, reason="needs Redis")


class Vanished:
    """A class that the reading process does not have."""


def pickle_of_vanished_class() -> bytes:
    return pickle.dumps(Vanished()).replace(b"Vanished", b"VanisheD")


def with_checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4) + content


def flip(value: bytes, position: int) -> bytes:
    return value[:position] + bytes([value[position] ^ 1]) + value[position + 1 :]


def replace_by_list(key: bytes) -> None:
    redis_client().delete(key)
    redis_client().rpush(key, "another type")


def stored(key: bytes) -> bytes:
    value: Any = redis_client().get(key)
    return bytes(value)


def set_to(make_value: Callable[[bytes], bytes | int]) -> Callable[[bytes], object]:
    return lambda key: redis_client().set(key, make_value(stored(key)))


DAMAGES: dict[str, Callable[[bytes], object]] = {
    "empty": set_to(lambda value: b""),
    "text": set_to(lambda value: b"not a pickle"),
    "not UTF-8": set_to(lambda value: b"\xff\xfe\x00"),
    "a number": set_to(lambda value: 7),
    "cut off": set_to(lambda value: value[: len(value) // 2]),
    "cut to the checksum": set_to(lambda value: value[:4]),
    "a flipped bit in the middle": set_to(lambda value: flip(value, len(value) // 2)),
    "a flipped bit in the checksum": set_to(lambda value: flip(value, 0)),
    "the format before": set_to(lambda value: value[4:]),
    "a class that does not exist": set_to(lambda value: with_checksum(pickle_of_vanished_class())),
    "a checksum without a pickle": set_to(lambda value: with_checksum(b"x")),
    "another shape": set_to(lambda value: with_checksum(pickle.dumps({"a": 1}))),
    "another number of fields": set_to(lambda value: with_checksum(pickle.dumps(("etag", b"body")))),
    "other types": set_to(lambda value: with_checksum(pickle.dumps((1, 2, "body", "soon")))),
    "picks of another shape": set_to(lambda value: with_checksum(pickle.dumps((False, [(1, 2)])))),
    "another type": replace_by_list,
}


@pytest.fixture(autouse=True)
def _closed_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    for attribute in ("_paused_until", "_next_warning_at"):
        monkeypatch.setattr(circuit_breaker, attribute, float("-inf"))


@pytest.fixture
def user(catalogue: CatalogueFactory, settings: Any) -> User:
    users, _ = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 100}
    return users[0]


def cached_keys() -> list[bytes]:
    """Return the keys of this test, which has a prefix of its own."""
    keys: Any = redis_client().keys(f"{django_settings.CACHES['default']['KEY_PREFIX']}:*")
    return list(keys)


def get_answer(service: APIClient, user: User) -> Any:
    response_cache.clear()  # as in another process
    response = service.get(f"/recommend/user/{user.pk}/ml?limit=5")
    assert response.status_code == 200
    body = response.json()
    return {name: body[name] for name in ("strategy", "degraded", "fallback_reason", "results")}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_undecodable_answer_or_ranking_is_computed_again(damage: str, user: User, service: APIClient) -> None:
    precompute_rankings([user.pk])
    expected = get_answer(service, user)
    keys = cached_keys()
    assert {key.split(b":")[2] for key in keys} == {b"ahead", b"result", b"trending", b"trending-lock", b"new-plays"}
    for key in keys:
        DAMAGES[damage](key)
    assert get_answer(service, user) == expected
    assert circuit_breaker._paused_until == float("-inf")  # Redis is used for everything else
    if damage != "another type":  # SET replaces that, too, but only after the answer was delivered
        assert sorted(cached_keys()) == sorted(keys)
    assert get_answer(service, user) == expected


@pytest.mark.usefixtures("db")
def test_keys_carry_the_version_of_the_format() -> None:
    cache.set("name", "value")
    [key] = cached_keys()
    assert key.decode().split(":")[1:] == [str(django_settings.CACHE_FORMAT), "name"]
    assert REDIS_KEY.rsplit(":", 1)[1].isdigit()


@pytest.mark.usefixtures("db")
def test_undecodable_values_are_left_out_of_many() -> None:
    cache.set_many({"good": [1], "bad": [2], "number": 3})
    [bad] = [key for key in cached_keys() if key.endswith(b"bad")]
    redis_client().set(bad, b"bad")
    assert cache.get_many(["good", "bad", "number", "missing"]) == {"good": [1], "number": 3}
    assert cache.get("bad", "default") == "default"


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("value", [b"many", b"", b"\xff", b"1.5", None])
def test_a_counter_that_is_no_number_begins_again(
    value: bytes | None, alice: User, as_listener: Callable[[User], APIClient], settings: Any
) -> None:
    settings.MUSICREC = settings.MUSICREC | {"RATE_LISTENER": "2/min"}
    client, limit = as_listener(alice), parse_rate("2/min")
    assert limit is not None
    storage: Any = limiter().storage
    key = storage.prefixed_key(limit.key_for(f"listener:{alice.pk}"))
    redis_client().delete(key)
    if value is None:
        redis_client().rpush(key, "another type")
    else:
        redis_client().set(key, value)
    assert [client.get("/recommend/user/me").status_code for _ in range(3)] == [200, 200, 429]
    assert redis_client().ttl(key) > 0


@pytest.mark.usefixtures("db")
def test_ids_that_are_no_numbers_are_not_precomputed(settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 100}
    redis_client().delete(REDIS_KEY)
    redis_client().sadd(REDIS_KEY, "x", b"\xff", "", "-3", "1" * 40)
    add_stale_listeners([7, 5])
    assert pop_stale_listeners(100) == [5, 7]
