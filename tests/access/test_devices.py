"""Phones that listen without an account."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from rest_framework.test import APIClient

from access import throttles
from access.models import Device, SignIn, User
from tests.conftest import assert_problem

DEVICE = "7b7a6a1e-9a34-4d5c-8a37-5e6a1f0c2b11"


def sign_in_device(device_id: str = DEVICE) -> dict[str, Any]:
    response = APIClient().post("/token/device", {"device_id": device_id}, format="json")
    assert response.status_code == 200, response.content
    tokens: dict[str, Any] = response.json()
    return tokens


def with_token(tokens: dict[str, Any]) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    return api


@pytest.mark.usefixtures("db")
def test_a_device_gets_tokens_of_the_same_anonymous_listener_each_time() -> None:
    first, second = sign_in_device(), sign_in_device()
    assert first.keys() == {"access", "token_type", "expires_in", "refresh", "refresh_expires_in", "user_id"}
    assert first["user_id"] == second["user_id"] != sign_in_device(str(uuid.uuid4()))["user_id"]
    for tokens in (first, second):
        account = with_token(tokens).get("/users/me").json()
        assert (account["user_id"], account["external_id"]) == (first["user_id"], None)
    listener = User.objects.get(pk=first["user_id"])
    assert (listener.has_usable_password(), listener.is_staff) == (False, False)
    assert APIClient().post("/token/refresh", {"refresh": second["refresh"]}, format="json").status_code == 200


@pytest.mark.usefixtures("db")
def test_only_the_digest_of_a_device_id_is_stored() -> None:
    sign_in_device()
    rows = [*Device.objects.values_list(), *User.objects.values_list(), *SignIn.objects.values_list()]
    assert DEVICE not in str(rows)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "required"),
        ({"device_id": "short"}, "has 5 characters; a device id is a secret"),
        ({"device_id": DEVICE * 4}, "no more than 128 characters"),
        ({"device_id": f"{DEVICE} "}, "visible ASCII"),
        ({"device_id": f"{DEVICE}é"}, "visible ASCII"),
        ({"device_id": "00000000-0000-0000-0000-000000000000"}, "is not random"),
        ({"device_id": {}}, "Not a valid string"),
        ({"device_id": DEVICE, "name": "phone"}, "unknown field; this body accepts device_id"),
    ],
    ids=str,
)
def test_a_device_id_that_is_no_secret_is_refused(body: dict[str, Any], detail: str) -> None:
    response = APIClient().post("/token/device", body, format="json")
    assert detail in assert_problem(response, 400)["detail"]
    assert not User.objects.exists()


@pytest.mark.usefixtures("db")
def test_anonymous_listeners_can_be_turned_off(settings: Any) -> None:
    settings.MUSICREC |= {"ANONYMOUS_LISTENERS": False}
    response = APIClient().post("/token/device", {"device_id": DEVICE}, format="json")
    assert "MUSICREC_ANONYMOUS_LISTENERS" in assert_problem(response, 403)["detail"]
    assert not User.objects.exists()


@pytest.mark.usefixtures("db")
def test_devices_are_limited_by_their_address(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSICREC |= {"RATE_SIGN_IN": "1/hour"}
    counters = FixedWindowRateLimiter(MemoryStorage())
    monkeypatch.setattr(throttles, "limiter", lambda: counters)
    for _ in range(10):
        sign_in_device(str(uuid.uuid4()))
    response = APIClient().post("/token/device", {"device_id": DEVICE}, format="json")
    assert_problem(response, 429)
    assert User.objects.count() == 10


@pytest.mark.django_db(transaction=True)
def test_of_several_first_requests_of_a_device_each_gets_the_same_listener() -> None:
    def sign_in_once(number: int) -> int:
        try:
            return int(sign_in_device()["user_id"])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        listeners = set(threads.map(sign_in_once, range(8)))
    assert len(listeners) == User.objects.count() == Device.objects.count() == 1
