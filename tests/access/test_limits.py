"""Who asks too often is told to wait; and it costs nobody anything when nothing can count."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from access.models import User
from access.services import create_service_key
from common.redis_cache import LocMemCache, RedisCache
from tests.conftest import assert_problem

A_DAY = 86400


@pytest.fixture
def limit(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(cache._connections[cache._alias], "key_prefix", uuid.uuid4().hex)  # counts of its own

    def set_rates(**rates: str) -> None:
        settings.MUSICREC = settings.MUSICREC | {f"RATE_{name.upper()}": rate for name, rate in rates.items()}

    return set_rates


def refused(name: str) -> float:
    return REGISTRY.get_sample_value("musicrec_requests_refused_total", {"limit": name}) or 0.0


def test_a_listener_who_asks_too_often_waits_and_nobody_else_does(
    limit: Callable[..., None], alice: User, bob: User, as_listener: Callable[[User], APIClient]
) -> None:
    limit(listener="2/day")
    api, before = as_listener(alice), refused("listener")
    assert [api.get("/recommend/user/me").status_code for _ in range(2)] == [200, 200]
    response = api.get("/recommend/user/me")
    detail = assert_problem(response, 429)["detail"]
    wait = int(response["Retry-After"])
    assert 0 < wait <= A_DAY
    assert detail == f"more than 2 requests a day; try again in {wait} second{'s' * (wait != 1)}"
    assert refused("listener") == before + 1
    assert as_listener(bob).get("/recommend/user/me").status_code == 200


def test_a_key_has_a_limit_of_its_own(limit: Callable[..., None], service: APIClient) -> None:
    limit(listener="1/day", key="2/day")
    assert [service.get("/recommend/user/1").status_code for _ in range(3)] == [200, 200, 429]
    another = APIClient()
    another.credentials(HTTP_AUTHORIZATION=f"Api-Key {create_service_key('another', ['recommend'])}")
    assert another.get("/recommend/user/1").status_code == 200


def sign_in(name: str, **extra: Any) -> int:
    status: int = APIClient().post("/token", {"username": name, "password": "x"}, format="json", **extra).status_code
    return status


def test_passwords_are_tried_a_few_times_by_name(limit: Callable[..., None], alice: User) -> None:
    limit(sign_in="2/day")
    assert [sign_in("alice") for _ in range(3)] == [401, 401, 429]
    assert sign_in("alice", REMOTE_ADDR="192.0.2.9") == 429
    assert sign_in("bob") == 401
    right = {"username": "alice", "password": "wonderland-7"}
    assert_problem(APIClient().post("/token", right, format="json"), 429)


def test_passwords_are_tried_a_few_times_by_address(limit: Callable[..., None], db: None) -> None:
    limit(sign_in="1/day")
    assert [sign_in(f"name-{n}", REMOTE_ADDR="192.0.2.1") for n in range(11)] == [401] * 10 + [429]
    assert sign_in("another", REMOTE_ADDR="192.0.2.2") == 401


def test_behind_a_proxy_the_address_is_what_the_proxy_saw(limit: Callable[..., None], settings: Any) -> None:
    settings.HTTPS = True
    limit(sign_in="1/day")
    seen = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}
    statuses = [sign_in(f"a-{n}", HTTP_X_FORWARDED_FOR=f"10.0.0.{n}, 192.0.2.1", **seen) for n in range(11)]
    assert statuses == [401] * 10 + [429]
    assert sign_in("b", HTTP_X_FORWARDED_FOR="192.0.2.1, 192.0.2.2", **seen) == 401
    assert [sign_in(f"c-{n}", **seen) for n in range(11)] == [401] * 11  # all of them would be the proxy's


@pytest.mark.parametrize("body", [[], {"username": ["x"]}, {}, "x"])
def test_a_sign_in_without_a_name_is_no_fault_of_ours(limit: Callable[..., None], body: Any) -> None:
    limit(sign_in="5/day")
    assert_problem(APIClient().post("/token", body, format="json"), 400)


def test_an_empty_rate_is_no_limit(limit: Callable[..., None], service: APIClient) -> None:
    limit(key="", listener="", sign_in="")
    assert {service.get("/recommend/user/1").status_code for _ in range(5)} == {200}
    assert {sign_in("alice") for _ in range(5)} == {401}


def test_no_name_and_no_address_is_kept(limit: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []
    counting: Any = cache._connections[cache._alias]
    hit = counting.hit
    monkeypatch.setattr(counting, "hit", lambda names, *rest: keys.extend(names) or hit(names, *rest))
    limit(sign_in="5/day")
    sign_in("mallory-77", REMOTE_ADDR="192.0.2.55")
    assert len(keys) == 2
    assert not any("mallory" in key or "192.0.2" in key for key in keys)


@pytest.mark.parametrize("count", [1, 2])
def test_both_caches_count_the_same(count: int, settings: Any) -> None:
    counting = RedisCache(settings.REDIS_URL, {}) if settings.REDIS_URL else LocMemCache("t", {})
    names = [uuid.uuid4().hex for _ in range(count)]
    assert [counting.hit(names, 60) for _ in range(3)] == [[n] * count for n in (1, 2, 3)]
    assert counting.hit([uuid.uuid4().hex], 60) == [1]


def test_a_count_ends() -> None:
    counting, name = LocMemCache("t", {}), uuid.uuid4().hex
    counting.hit([name], 1)
    time.sleep(1.1)
    assert counting.hit([name], 1) == [1]


def test_spaces_around_a_name_make_no_other_name(limit: Callable[..., None], alice: User) -> None:
    limit(sign_in="2/day")
    tries = [{"username": "alice" + " " * n, "password": "wrong"} for n in range(4)]
    assert [APIClient().post("/token", body, format="json").status_code for body in tries] == [401, 401, 429, 429]


def test_the_admins_sign_in_counts_with_the_apis(limit: Callable[..., None], alice: User) -> None:
    limit(sign_in="2/day")
    alice.is_staff = True
    alice.save()
    APIClient().post("/token", {"username": "alice", "password": "wrong"}, format="json")
    path, right = "/admin/login/?next=/admin/", {"username": "alice", "password": "wonderland-7"}
    assert Client().post(path, {"username": "alice", "password": "wrong"}).status_code == 200
    refused = Client().post(path, right)
    assert "Too many tries for this name" in refused.content.decode()
    limit(sign_in="")
    assert Client().post(path, right).status_code == 302
