"""The endpoints by which listeners read and change their settings and request their erasure."""

import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import Erasure, ListenToken, Scope, User
from privacy.erasure import ErasureResult, finish_erasures
from privacy.services import erase_listener
from privacy.tasks import erase_listeners
from tests.conftest import assert_problem
from tests.people import CatalogueFactory

pytestmark = pytest.mark.usefixtures("no_erasure_process")


# --- Reading and changing settings ---


def test_a_listener_reads_and_changes_their_own_settings(alice: User, as_listener: Callable[[User], APIClient]) -> None:
    api = as_listener(alice)
    settings = {"consent": True, "market": "", "allow_explicit": True, "display_name": ""}
    expected = {"user_id": alice.pk, "external_id": None} | settings
    assert api.get("/users/me").json() == expected
    response = api.patch("/users/me", {"market": "DE", "consent": False}, format="json")
    assert (response.status_code, response.json()) == (200, expected | {"market": "DE", "consent": False})
    assert api.patch(f"/users/{alice.pk}", {"allow_explicit": False}, format="json").json()["market"] == "DE"
    assert api.patch("/users/me", {"market": ""}, format="json").json()["market"] == ""
    assert api.patch("/users/me", {}, format="json").status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer", "message"),
    [
        ({"market": "de"}, "#/market", "must be two capital letters"),
        ({"market": "DEU"}, "#/market", "must be two capital letters"),
        ({"market": "DE\n"}, "#/market", None),
        ({"market": "ÄÖ"}, "#/market", "must be two capital letters"),
        ({"market": 7}, "#/market", "must be two capital letters"),
        ({"consent": "maybe"}, "#/consent", "must be true or false"),
        ({"allow_explicit": []}, "#/allow_explicit", "must be true or false"),
        ({"user_id": 3}, "#/user_id", "cannot be changed; consent, market, allow_explicit, display_name can be"),
        ({"is_staff": True}, "#/is_staff", "cannot be changed"),
        ([], "#", "the body must be a JSON object"),
        ("x", "#", "the body must be a JSON object"),
    ],
)
def test_an_invalid_change_names_its_field(
    alice: User, as_listener: Callable[[User], APIClient], body: Any, pointer: str, message: str | None
) -> None:
    response = as_listener(alice).patch("/users/me", body, format="json")
    if message is None:  # accepted: surrounding white space is stripped
        assert response.json()["market"] == "DE"
        return
    [error] = assert_problem(response, 400)["errors"]
    assert error["pointer"] == pointer
    assert message in error["detail"]


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("patch", ""), ("delete", ""), ("get", "/export")])
def test_other_listeners_are_a_404(
    method: str,
    path: str,
    alice: User,
    bob: User,
    service: APIClient,
    as_listener: Callable[[User], APIClient],
    as_service_with: Callable[..., APIClient],
) -> None:
    assert_problem(getattr(as_listener(alice), method)(f"/users/{bob.pk}{path}"), 404)
    for unknown in (bob.pk + 1000, 10**30):
        assert_problem(getattr(service, method)(f"/users/{unknown}{path}"), 404)
    assert_problem(getattr(service, method)(f"/users/me{path}"), 400)
    assert_problem(getattr(service, method)(f"/users/bob{path}"), 400)
    assert_problem(getattr(APIClient(), method)(f"/users/{bob.pk}{path}"), 401)
    others = as_service_with(*(scope for scope in Scope.values if scope != Scope.LISTENERS))
    detail = assert_problem(getattr(others, method)(f"/users/{bob.pk}{path}"), 403)["detail"]
    assert detail == "this service key lacks the scope 'listeners'"
    assert not Erasure.objects.exists()


# --- Requesting an erasure ---


def test_requesting_an_erasure_closes_the_account_and_returns_a_receipt(
    alice: User, service: APIClient, as_listener: Callable[[User], APIClient]
) -> None:
    ListenToken.objects.create(user=alice, prefix="p", digest="d")
    api = as_listener(alice)
    response = api.delete("/users/me")
    body = response.json()
    assert response.status_code == 202
    assert (body["status"], body["completed_at"], body["erased"]) == ("requested", None, {})
    assert response["Location"] == f"/erasures/{body['receipt']}"
    assert_problem(api.get("/users/me"), 401)
    assert_problem(APIClient().post("/token", {"username": "alice", "password": "wonderland-7"}, format="json"), 401)
    alice.refresh_from_db()
    assert (alice.is_active, alice.consent, alice.has_usable_password()) == (False, False, False)
    assert ListenToken.objects.get().revoked_at is not None
    for call in (service.get, service.patch):
        assert_problem(call(f"/users/{alice.pk}"), 404)
    assert_problem(service.get(f"/users/{alice.pk}/export"), 404)


def test_repeating_the_request_returns_the_same_receipt(alice: User, service: APIClient) -> None:
    first = service.delete(f"/users/{alice.pk}").json()
    assert service.delete(f"/users/{alice.pk}").json() == first
    assert finish_erasures() == ErasureResult(erased=1)
    last = service.delete(f"/users/{alice.pk}")
    assert (last.status_code, last.json()["receipt"], last.json()["status"]) == (202, first["receipt"], "completed")
    assert Erasure.objects.count() == 1


def test_a_listener_is_erased_by_external_id_and_the_receipt_stays_the_same(alice: User, service: APIClient) -> None:
    User.objects.filter(pk=alice.pk).update(external_id="app:4711")
    first = service.delete("/users/external:app:4711").json()
    assert service.delete("/users/external:app:4711").json() == first
    assert Erasure.objects.get().user_id == alice.pk
    assert_problem(service.get("/users/external:app:4711"), 404)
    finish_erasures()
    assert service.delete("/users/external:app:4711").json()["receipt"] == first["receipt"]
    assert_problem(service.delete("/users/external:app:4712"), 404)


@pytest.mark.parametrize("field", ["is_staff", "is_superuser"])
def test_an_operator_is_not_erased_by_the_api(field: str, alice: User, service: APIClient) -> None:
    User.objects.filter(pk=alice.pk).update(**{field: True})
    detail = assert_problem(service.delete(f"/users/{alice.pk}"), 409)["detail"]
    assert detail == "this is an operator's account; a superuser deletes it in the admin"
    assert service.get(f"/users/{alice.pk}").status_code == 200


def test_a_receipt_is_public_and_contains_no_personal_data(alice: User, catalogue: CatalogueFactory) -> None:
    catalogue.play(alice, *catalogue.tracks(7))
    receipt = erase_listener(alice.pk).receipt
    assert APIClient().get(f"/erasures/{receipt}").json()["status"] == "requested"
    finish_erasures()
    answer = APIClient().get(f"/erasures/{receipt}")
    body = answer.json()
    assert body.keys() == {"receipt", "status", "requested_at", "completed_at", "erased"}
    assert (body["status"], body["erased"]) == ("completed", {"interactions": 7, "access_user": 1})
    assert "alice" not in answer.content.decode()
    assert_problem(APIClient().get(f"/erasures/{uuid.uuid4()}"), 404)
    assert_problem(APIClient().get("/erasures/nonsense"), 404)


def test_a_request_survives_an_unavailable_broker(alice: User, settings: Any, service: APIClient) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    assert service.delete(f"/users/{alice.pk}").status_code == 202
    assert str(ErasureResult(erased=1)) == erase_listeners()


# --- Logging ---


def test_neither_credentials_nor_addresses_are_logged(
    alice: User, as_listener: Callable[[User], APIClient], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api = as_listener(alice)
    token = api._credentials["HTTP_AUTHORIZATION"].split()[1]
    for path in ("/users/me", "/users/me/export", "/nowhere", "/recommend/user/7/ml"):
        api.get(path, REMOTE_ADDR="203.0.113.9", HTTP_X_FORWARDED_FOR="203.0.113.9")
    wrong = {"username": "alice", "password": "not-the-password"}
    APIClient().post("/token", wrong, format="json", REMOTE_ADDR="203.0.113.9")
    assert caplog.records
    for secret in (token, "not-the-password", "203.0.113.9"):
        assert secret not in caplog.text
