"""Rate limits answer 429 with Retry-After, and do not delay requests while Redis is unavailable."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from limits import RateLimitItemPerDay, RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import FixedWindowRateLimiter
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from access import throttles
from access.models import User
from access.services import create_service_key
from access.sign_ins import TokenPair
from access.sign_ins import sign_in as create_tokens
from access.throttles import count_requests
from common.redis_client import CircuitBreaker, create_client
from tests.conftest import assert_problem
from tests.postgres import free_port

DAY_SECONDS = 86400


@pytest.fixture
def set_rates(settings: Any, db: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set rates by name: `set_rates(key="2/day")`. Each test has counters of its own."""
    storage = RedisStorage(settings.REDIS_URL, key_prefix=uuid.uuid4().hex) if settings.REDIS_URL else MemoryStorage()
    monkeypatch.setattr(throttles, "limiter", lambda: FixedWindowRateLimiter(storage))

    def set_rates(**rates: str) -> None:
        settings.MUSICREC = settings.MUSICREC | {f"RATE_{name.upper()}": rate for name, rate in rates.items()}

    return set_rates


def refusals(name: str) -> float:
    return REGISTRY.get_sample_value("musicrec_requests_refused_total", {"limit": name}) or 0.0


def test_it_limits_each_listener_separately(
    set_rates: Callable[..., None], alice: User, bob: User, as_listener: Callable[[User], APIClient]
) -> None:
    set_rates(listener="2/day")
    api, before = as_listener(alice), refusals("listener")
    assert [api.get("/recommend/user/me").status_code for _ in range(2)] == [200, 200]
    response = api.get("/recommend/user/me")
    detail = assert_problem(response, 429)["detail"]
    wait = int(response["Retry-After"])
    assert 0 < wait <= DAY_SECONDS
    assert detail == f"more than 2 requests a day; try again in {wait} second{'s' * (wait != 1)}"
    assert refusals("listener") == before + 1
    assert as_listener(bob).get("/recommend/user/me").status_code == 200


def test_it_limits_each_service_key_separately(set_rates: Callable[..., None], service: APIClient) -> None:
    set_rates(listener="1/day", key="2/day")
    assert [service.get("/recommend/user/1").status_code for _ in range(3)] == [200, 200, 429]
    another = APIClient()
    another.credentials(HTTP_AUTHORIZATION=f"Api-Key {create_service_key('another', ['recommend'])}")
    assert another.get("/recommend/user/1").status_code == 200


def sign_in(name: str, **extra: Any) -> int:
    status: int = APIClient().post("/token", {"username": name, "password": "x"}, format="json", **extra).status_code
    return status


def test_it_limits_sign_in_attempts_by_name(set_rates: Callable[..., None], alice: User) -> None:
    set_rates(sign_in="2/day")
    assert [sign_in("alice") for _ in range(3)] == [401, 401, 429]
    assert sign_in("alice", REMOTE_ADDR="192.0.2.9") == 429
    assert sign_in("bob") == 401
    right = {"username": "alice", "password": "wonderland-7"}
    assert_problem(APIClient().post("/token", right, format="json"), 429)


def test_it_limits_sign_in_attempts_by_address(set_rates: Callable[..., None], db: None) -> None:
    set_rates(sign_in="1/day")
    assert [sign_in(f"name-{n}", REMOTE_ADDR="192.0.2.1") for n in range(11)] == [401] * 10 + [429]
    assert sign_in("another", REMOTE_ADDR="192.0.2.2") == 401


def test_behind_a_proxy_it_limits_the_address_that_the_proxy_saw(set_rates: Callable[..., None], settings: Any) -> None:
    settings.HTTPS = True
    set_rates(sign_in="1/day")
    seen = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}
    statuses = [sign_in(f"a-{n}", HTTP_X_FORWARDED_FOR=f"10.0.0.{n}, 192.0.2.1", **seen) for n in range(11)]
    assert statuses == [401] * 10 + [429]
    assert sign_in("b", HTTP_X_FORWARDED_FOR="192.0.2.1, 192.0.2.2", **seen) == 401
    # Without the header, all attempts have the address of the proxy, so none is counted by address.
    assert [sign_in(f"c-{n}", **seen) for n in range(11)] == [401] * 11


@pytest.mark.parametrize("body", [[], {"username": ["x"]}, {}, "x"])
def test_a_sign_in_without_a_name_is_a_400(set_rates: Callable[..., None], body: Any) -> None:
    set_rates(sign_in="5/day")
    assert_problem(APIClient().post("/token", body, format="json"), 400)


def test_an_empty_rate_means_no_limit(set_rates: Callable[..., None], service: APIClient) -> None:
    set_rates(key="", listener="", sign_in="")
    assert {service.get("/recommend/user/1").status_code for _ in range(5)} == {200}
    assert {sign_in("alice") for _ in range(5)} == {401}


def test_names_and_addresses_are_not_stored(set_rates: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    set_rates(sign_in="5/day")
    keys: list[str] = []
    storage = throttles.limiter().storage
    increment = storage.incr
    monkeypatch.setattr(
        storage, "incr", lambda key, *args, **options: keys.append(key) or increment(key, *args, **options)
    )
    sign_in("mallory-77", REMOTE_ADDR="192.0.2.55")
    assert len(keys) == 2
    assert not any("mallory" in key or "192.0.2" in key for key in keys)


@pytest.mark.usefixtures("set_rates")
def test_requests_are_counted_by_principal_and_by_their_cost() -> None:
    limit = RateLimitItemPerDay(3)
    assert [count_requests(limit, "a") > 0 for _ in range(4)] == [False, False, False, True]
    assert [count_requests(limit, "b", cost) > 0 for cost in (2, 2)] == [False, True]


@pytest.mark.usefixtures("set_rates")
def test_counting_starts_again_when_the_window_ends() -> None:
    limit = RateLimitItemPerSecond(1)
    assert [count_requests(limit, "a") for _ in range(2)] == [0, 1]
    time.sleep(1.1)
    assert count_requests(limit, "a") == 0


def unreachable_storage() -> RedisStorage:
    url = f"redis://127.0.0.1:{free_port()}/0"
    return RedisStorage(url, connection_pool=create_client(url, 0.2).connection_pool)


def test_requests_are_neither_counted_nor_delayed_while_redis_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    unreachable = unreachable_storage()
    monkeypatch.setattr(throttles, "limiter", lambda: FixedWindowRateLimiter(unreachable))
    monkeypatch.setattr(throttles, "call_redis", CircuitBreaker().call)
    started = time.monotonic()
    assert {count_requests(RateLimitItemPerDay(1), "a") for _ in range(100)} == {0}
    assert time.monotonic() - started < 0.8


def test_spaces_around_a_name_do_not_avoid_the_limit(set_rates: Callable[..., None], alice: User) -> None:
    set_rates(sign_in="2/day")
    tries = [{"username": "alice" + " " * n, "password": "wrong"} for n in range(4)]
    assert [APIClient().post("/token", body, format="json").status_code for body in tries] == [401, 401, 429, 429]


def test_sign_in_attempts_in_the_admin_count_as_well(set_rates: Callable[..., None], alice: User) -> None:
    set_rates(sign_in="2/day")
    alice.is_staff = True
    alice.save()
    APIClient().post("/token", {"username": "alice", "password": "wrong"}, format="json")
    path, right = "/admin/login/?next=/admin/", {"username": "alice", "password": "wonderland-7"}
    assert Client().post(path, {"username": "alice", "password": "wrong"}).status_code == 200
    response = Client().post(path, right)
    assert "Too many attempts to sign in with this name" in response.content.decode()
    set_rates(sign_in="")
    assert Client().post(path, right).status_code == 302


def test_processes_that_lease_requests_never_let_more_through_than_the_limit(
    set_rates: Callable[..., None], monkeypatch: pytest.MonkeyPatch, service: APIClient
) -> None:
    set_rates(key="500/min")
    leases: list[dict[Any, Any]] = [{}, {}]  # of two processes, which take turns
    statuses = []
    for number in range(506):
        monkeypatch.setattr(throttles, "_leases", leases[number % 2])
        statuses.append(service.get("/recommend/user/1").status_code)
    assert statuses.count(200) == 500
    assert statuses[-1] == 429


def test_a_costly_request_is_not_refused_while_redis_is_unavailable(
    set_rates: Callable[..., None], monkeypatch: pytest.MonkeyPatch, service: APIClient
) -> None:
    set_rates(key="3/min")
    unreachable = unreachable_storage()
    monkeypatch.setattr(throttles, "limiter", lambda: FixedWindowRateLimiter(unreachable))
    monkeypatch.setattr(throttles, "call_redis", CircuitBreaker().call)
    assert service.post("/recommend/batch", {"users": [1, 2, 3, 4, 5, 6]}, format="json").status_code == 200


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "is_limited"),
    [
        (0, "{n}.0.0.1", False),  # the address is not certain, and everybody has that of the proxy
        (1, "{n}.0.0.1, 192.0.2.1", True),
        (1, "{n}.0.0.1, {n}.0.0.2, 192.0.2.1:5{n}", True),
        (1, "192.0.2.1, {n}.0.0.1", False),
        (2, "{n}.0.0.1, 192.0.2.1, 10.0.0.1", True),
        (2, "192.0.2.1, {n}.0.0.1, 10.0.0.1", False),
        (2, "{n}.0.0.1", False),  # the second proxy was bypassed
        (1, "2001:db8:0:7::{n}", True),  # one client has all addresses of a /64
        (1, "[2001:db8:0:7::{n}]:44{n}", True),
        (1, "2001:db8:0:{n}::1", False),
        (1, "::ffff:192.0.2.1", True),
        (1, "unknown", True),
    ],
)
def test_addresses_that_the_client_writes_do_not_avoid_the_limit(
    set_rates: Callable[..., None], settings: Any, proxies: int, forwarded_for: str, is_limited: bool
) -> None:
    settings.HTTPS = True
    settings.MUSICREC = settings.MUSICREC | {"PROXIES": proxies}
    set_rates(sign_in="1/day")
    seen = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}
    statuses = [sign_in(f"a-{n}", HTTP_X_FORWARDED_FOR=forwarded_for.format(n=n), **seen) for n in range(10, 21)]
    assert statuses == [401] * 10 + [429 if is_limited else 401]


def test_without_https_the_header_is_ignored(set_rates: Callable[..., None]) -> None:
    set_rates(sign_in="1/day")
    statuses = [sign_in(f"a-{n}", HTTP_X_FORWARDED_FOR=f"{n}.0.0.1", REMOTE_ADDR="192.0.2.1") for n in range(11)]
    assert statuses == [401] * 10 + [429]


@pytest.mark.parametrize("path", ["/token/refresh", "/token/revoke"])
def test_requests_with_wrong_refresh_tokens_are_limited_by_address(
    set_rates: Callable[..., None], db: None, path: str
) -> None:
    set_rates(sign_in="1/day", listener="1/day")

    def send(address: str, **body: Any) -> int:
        status: int = APIClient().post(path, body, format="json", REMOTE_ADDR=address).status_code
        return status

    assert [send("192.0.2.1", refresh=f"wrong-{n}") for n in range(11)] == [401] * 10 + [429]
    assert send("192.0.2.1") == 429  # without a token as well
    assert [send("192.0.2.2", refresh="wrong"), send("192.0.2.2", refresh=[])] == [401, 400]
    sign_in("another", REMOTE_ADDR="192.0.2.2")
    assert [sign_in(f"name-{n}", REMOTE_ADDR="192.0.2.2") for n in range(8)] == [401] * 7 + [429]  # counted together


def test_requests_with_genuine_refresh_tokens_are_limited_by_listener(
    set_rates: Callable[..., None], alice: User, bob: User
) -> None:
    set_rates(sign_in="1/day", listener="12/day")
    pair = create_tokens(alice)
    statuses = []
    for _ in range(13):  # more than the address may send of wrong ones
        response = APIClient().post("/token/refresh", {"refresh": pair.refresh}, format="json")
        statuses.append(response.status_code)
        if response.status_code == 200:
            pair = TokenPair(response.json()["access"], response.json()["refresh"], alice.pk)
    assert statuses == [200] * 12 + [429]
    revoke = APIClient().post("/token/revoke", {"refresh": pair.refresh}, format="json")
    assert_problem(revoke, 429)
    assert APIClient().post("/token/refresh", {"refresh": create_tokens(bob).refresh}, format="json").status_code == 200
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {pair.access}")
    assert api.get("/users/me").status_code == 200  # whoever has an old token cannot use up the listener's requests
