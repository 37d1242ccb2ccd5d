"""Null in JSON bodies, and whole numbers that are written as floats."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from access.sign_ins import sign_in
from interactions.models import Block
from tests.people import CatalogueFactory


@pytest.fixture
def phone(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


@pytest.mark.parametrize("field", ["consent", "market", "allow_explicit"])
def test_a_setting_that_is_null_stays_as_it_is(phone: APIClient, alice: User, field: str) -> None:
    User.objects.filter(pk=alice.pk).update(consent=False, market="DE", allow_explicit=False)
    response = phone.patch("/users/me", {field: None}, format="json")
    settings = {"consent": False, "market": "DE", "allow_explicit": False, "display_name": ""}
    assert (response.status_code, response.json()) == (200, {"user_id": alice.pk, "external_id": None} | settings)


@pytest.mark.parametrize("field", ["limit", "exclude_played", "explain", "placement", "market", "explicit", "user_id"])
def test_a_null_in_a_batch_is_the_default(phone: APIClient, catalogue: CatalogueFactory, field: str) -> None:
    catalogue.tracks(3)
    shelf = {"name": "a", "kind": "popular", "limit": None, "track_id": None}
    response = phone.post("/recommend/batch", {"shelves": [shelf], "users": None, field: None}, format="json")
    assert response.status_code == 200, response.content
    assert len(response.json()["shelves"][0]["results"]) == 3


def test_a_null_in_a_sign_out_is_the_default(alice: User) -> None:
    body = {"refresh": sign_in(alice).refresh, "everywhere": None}
    sign_in(alice)
    assert APIClient().post("/token/revoke", body, format="json").status_code == 204
    assert alice.sign_ins.count() == 1


def test_a_null_in_a_block_is_no_end(phone: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1)[0]
    assert phone.put(f"/users/me/blocks/track/{track.pk}", {"until": None}, format="json").status_code == 204
    assert Block.objects.get().until is None


def test_a_null_in_a_required_field_is_an_error(phone: APIClient) -> None:
    body = {"shelves": [{"name": None, "kind": "popular"}]}
    assert phone.post("/recommend/batch", body, format="json").status_code == 400
    assert APIClient().post("/token/revoke", {"refresh": None}, format="json").status_code == 400


@pytest.mark.parametrize("number", [2, 2.0, "2.0"])
def test_a_float_without_a_fraction_is_a_whole_number(
    phone: APIClient, catalogue: CatalogueFactory, number: Any
) -> None:
    track = catalogue.tracks(5)[0]
    assert len(phone.get(f"/recommend/user/me/ml?limit={number}").json()["results"]) == 2
    shelves = [
        {"name": "a", "kind": "popular", "limit": number},
        {"name": "b", "kind": "similar", "limit": number, "track_id": float(track.pk)},
    ]
    answer = phone.post("/recommend/batch", {"shelves": shelves}, format="json").json()
    assert [len(shelf["results"]) for shelf in answer["shelves"]] == [2, 2]


@pytest.mark.parametrize("number", [2.5, "2.5", "1e999", True])
def test_other_floats_are_no_whole_numbers(phone: APIClient, number: Any) -> None:
    body = {"shelves": [{"name": "a", "kind": "popular", "limit": number}]}
    assert phone.post("/recommend/batch", body, format="json").status_code == 400
