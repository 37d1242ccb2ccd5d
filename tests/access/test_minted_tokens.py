"""Tokens that the app's back end mints for the phones of its listeners."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import SignIn, User
from access.services import get_or_create_user_ids
from privacy.erasure import request_erasure
from tests.conftest import assert_problem


@pytest.fixture
def minter(as_service_with: Callable[..., APIClient]) -> APIClient:
    return as_service_with("tokens")


@pytest.fixture
def dana(db: None) -> User:
    return User.objects.get(pk=get_or_create_user_ids(["dana"])["dana"])


def with_token(tokens: dict[str, Any]) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens['access']}")
    return api


def test_a_back_end_mints_tokens_by_either_id(minter: APIClient, dana: User) -> None:
    for name in (dana.pk, "external:dana"):
        response = minter.post(f"/listeners/{name}/token")
        tokens = response.json()
        assert (response.status_code, tokens["user_id"], tokens["token_type"]) == (200, dana.pk, "Bearer")
        assert with_token(tokens).get("/users/me").json()["external_id"] == "dana"
        assert_problem(with_token(tokens).get(f"/users/{dana.pk + 1}"), 404)
        refreshed = APIClient().post("/token/refresh", {"refresh": tokens["refresh"]}, format="json")
        assert with_token(refreshed.json()).get("/users/me").status_code == 200
    assert SignIn.objects.filter(user=dana).count() == 2


def test_a_minted_token_ends_with_signing_out_everywhere(minter: APIClient, dana: User) -> None:
    first, second = (minter.post(f"/listeners/{dana.pk}/token").json() for _ in range(2))
    body = {"refresh": first["refresh"], "everywhere": True}
    assert APIClient().post("/token/revoke", body, format="json").status_code == 204
    for tokens in (first, second):
        assert_problem(with_token(tokens).get("/users/me"), 401)


def test_without_its_scope_or_by_a_listener_no_token_is_minted(
    as_service_with: Callable[..., APIClient], as_listener: Callable[[User], APIClient], dana: User, alice: User
) -> None:
    detail = assert_problem(as_service_with("listeners").post(f"/listeners/{dana.pk}/token"), 403)["detail"]
    assert detail == "this service key lacks the scope 'tokens'"
    detail = assert_problem(as_listener(alice).post(f"/listeners/{alice.pk}/token"), 403)["detail"]
    assert detail == "this needs a service key with the scope 'tokens', for back ends; a listener's token has none"
    assert_problem(APIClient().post(f"/listeners/{dana.pk}/token"), 401)
    assert not SignIn.objects.exclude(user=alice).exists()


@pytest.mark.parametrize("name", [10**9, 10**30, "external:unknown", "external:me"])
def test_an_unknown_listener_is_a_404_that_names_the_remedy(minter: APIClient, name: object) -> None:
    detail = assert_problem(minter.post(f"/listeners/{name}/token"), 404)["detail"]
    assert "PUT /listeners creates listeners" in detail


@pytest.mark.parametrize("name", ["dana", "me", "-1", "external:"])
def test_a_name_that_is_no_reference_is_a_400(minter: APIClient, dana: User, name: str) -> None:
    [error] = assert_problem(minter.post(f"/listeners/{name}/token"), 400)["errors"]
    assert error["pointer"] == "{listener_id}"
    assert "external" in error["detail"]
    assert not SignIn.objects.exists()


def test_a_number_that_names_two_listeners_is_a_409(minter: APIClient, dana: User, alice: User) -> None:
    get_or_create_user_ids([str(alice.pk)])
    detail = assert_problem(minter.post(f"/listeners/{alice.pk}/token"), 409)["detail"]
    assert "write external: before an external id" in detail
    assert not SignIn.objects.exists()
    User.objects.filter(pk=dana.pk).update(external_id=str(dana.pk))
    assert minter.post(f"/listeners/{dana.pk}/token").json()["user_id"] == dana.pk


def test_closed_accounts_and_operators_are_refused(minter: APIClient, dana: User, alice: User, bob: User) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    User.objects.filter(pk=bob.pk).update(is_superuser=True)
    for operator in (alice, bob):
        assert "operator" in assert_problem(minter.post(f"/listeners/{operator.pk}/token"), 403)["detail"]
    request_erasure(dana.pk)
    for name in (dana.pk, "external:dana"):
        assert_problem(minter.post(f"/listeners/{name}/token"), 404)
    assert not SignIn.objects.exists()


def test_a_body_is_refused_instead_of_ignored(minter: APIClient, dana: User) -> None:
    problem = assert_problem(minter.post(f"/listeners/{dana.pk}/token", {"expires_in": 60}, format="json"), 400)
    assert "takes no body" in problem["detail"]
    assert not SignIn.objects.exists()
