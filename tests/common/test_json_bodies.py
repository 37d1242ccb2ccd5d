"""Limits on the structure of JSON and form bodies, which apply before anything else is done with them."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.listen_tokens import create_listen_token
from access.models import User
from common.http.json import MAX_CONTAINERS, MAX_NAMES, TOO_DEEP
from tests.conftest import assert_problem

MANY_NAMES = {f"name-{number}": 1 for number in range(100_000)}
DEEP = "[" * 1000 + "]" * 1000
OBJECT_ENDPOINTS = [
    "PATCH /users/me",
    "POST /token",
    "POST /token/refresh",
    "POST /token/revoke",
    "POST /recommend/batch",
]
SECONDS = 0.4  # without the limit, the first of them took more than a second


@pytest.fixture
def send(alice: User, as_listener: Callable[[User], APIClient]) -> Callable[[str, str], Any]:
    """Send a JSON body to an endpoint such as "POST /token" as alice, and return the response."""
    api, signed_out = as_listener(alice), APIClient()

    def send(endpoint: str, body: str) -> Any:
        method, path = endpoint.split()
        client = signed_out if path.startswith("/token") else api
        return client.generic(method, path, body, content_type="application/json")

    return send


@pytest.mark.parametrize("endpoint", OBJECT_ENDPOINTS)
def test_an_object_with_very_many_names_is_refused_quickly(send: Callable[[str, str], Any], endpoint: str) -> None:
    body = json.dumps(MANY_NAMES | {"username": "alice", "password": "wonderland-7", "refresh": "x", "consent": False})
    started = time.process_time()
    problem = assert_problem(send(endpoint, body), 400)
    assert time.process_time() - started < SECONDS
    assert problem["detail"] == f"an object has 100004 names; it may have {MAX_NAMES}"
    assert User.objects.get(username="alice").consent is True


@pytest.mark.parametrize("endpoint", OBJECT_ENDPOINTS)
@pytest.mark.parametrize("name", ["username", "refresh", "consent", "other"])
def test_a_deeply_nested_body_is_refused(send: Callable[[str, str], Any], endpoint: str, name: str) -> None:
    problem = assert_problem(send(endpoint, f'{{"password": "x", "{name}": {DEEP}}}'), 400)
    assert problem["detail"] == TOO_DEEP


@pytest.mark.parametrize("endpoint", [*OBJECT_ENDPOINTS, "POST /events"])
@pytest.mark.parametrize("item", ["[]", "{}", '{"a":[]}'])
def test_a_body_of_very_many_arrays_or_objects_is_refused_before_it_is_decoded(
    send: Callable[[str, str], Any], endpoint: str, item: str
) -> None:
    started = time.process_time()
    problem = assert_problem(send(endpoint, f'{{"consent": [{",".join([item] * 200_000)}]}}'), 413)
    assert time.process_time() - started < SECONDS
    assert problem["detail"] == f"the body may have {MAX_CONTAINERS} objects and arrays; send less at once"


@pytest.mark.parametrize("name", ["users", "shelves"])
def test_a_very_long_list_is_refused_quickly(send: Callable[[str, str], Any], name: str) -> None:
    item = 1 if name == "users" else {"name": "a", "kind": "personal"}
    body = json.dumps({name: [item] * (1_000_000 if name == "users" else 40_000)}, separators=(",", ":"))
    started = time.process_time()
    problem = assert_problem(send("POST /recommend/batch", body), 400)
    assert time.process_time() - started < SECONDS
    assert [error["pointer"] for error in problem["errors"]] == [f"#/{name}"]


def test_names_that_an_account_does_not_have_are_still_named(send: Callable[[str, str], Any]) -> None:
    problem = assert_problem(send("PATCH /users/me", '{"nickname": "Al"}'), 400)
    assert [error["pointer"] for error in problem["errors"]] == ["#/nickname"]


@pytest.mark.parametrize("path", ["/token", "/token/refresh", "/token/revoke"])
def test_a_form_with_very_many_fields_is_refused(db: None, path: str) -> None:
    form = "&".join(f"name-{number}=1" for number in range(100_000))
    response = APIClient().generic("POST", path, form, content_type="application/x-www-form-urlencoded")
    assert "exceeded settings.DATA_UPLOAD_MAX_NUMBER_FIELDS" in assert_problem(response, 400)["detail"]


def test_events_with_very_many_names_are_rejected_alone(send: Callable[[str, str], Any]) -> None:
    body = json.dumps([MANY_NAMES, {"event_id": "x"}])  # takes longer than what is measured
    started = time.process_time()
    response = send("POST /events", body)
    assert time.process_time() - started < SECONDS
    assert response.status_code == 202
    assert [rejection["index"] for rejection in response.json()["rejected"]] == [0, 1]


def test_a_submission_of_very_many_arrays_is_refused_before_it_is_decoded(alice: User) -> None:
    body = f'{{"listen_type": "import", "payload": [{",".join(["[]"] * 3_000_000)}]}}'
    started = time.process_time()
    header = f"Token {create_listen_token(alice.pk)}"
    response = APIClient().generic(
        "POST", "/1/submit-listens", body, content_type="application/json", HTTP_AUTHORIZATION=header
    )
    assert time.process_time() - started < SECONDS
    assert response.status_code == 413
    assert f"may have {MAX_CONTAINERS} objects and arrays" in response.content.decode()
