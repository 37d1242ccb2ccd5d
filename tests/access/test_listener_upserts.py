"""`PUT /listeners`: one listener or many, by the app's own ids."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.hashers import is_password_usable
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from access.models import User
from access.services import get_or_create_user_ids
from privacy.erasure import finish_erasures, request_erasure
from tests.conftest import as_service, assert_problem
from tests.interactions.events.test_views import new_event
from tests.people import CatalogueFactory

ALL = {"consent": False, "market": "DE", "allow_explicit": False, "display_name": "Zoë"}
DEFAULTS = {"consent": True, "market": "", "allow_explicit": True, "display_name": ""}
ERASED = "this listener was erased on request, and is not created again"


def put(api: APIClient, external_id: str, body: Any = None) -> Any:
    return api.put(f"/listeners/{quote(external_id, safe='')}", {} if body is None else body, format="json")


def put_many(api: APIClient, *listeners: Any) -> Any:
    response = api.put("/listeners", {"listeners": list(listeners)}, format="json")
    assert response.status_code == 200, response.content
    return response.json()


def test_a_listener_is_created_updated_and_left_unchanged(service: APIClient) -> None:
    created = put(service, "external:app:1", ALL)
    user = User.objects.get()
    expected = {"user_id": user.pk, "external_id": "app:1"} | ALL
    assert (created.status_code, created.json()) == (201, expected)
    assert (is_password_usable(user.password), user.is_staff, user.is_active) == (False, False, True)
    for body in (ALL, {}, {"market": "FR"}, {"consent": True}):
        response = put(service, "app:1", body)  # the prefix may be left out
        expected |= body
        assert (response.status_code, response.json()) == (200, expected)
    assert service.get("/listeners/external:app:1").json() == expected
    assert service.get("/users/external:app:1").json() == expected
    assert User.objects.count() == 1


def test_an_empty_body_creates_a_listener_with_default_settings(service: APIClient) -> None:
    response = put(service, "external:app:1")
    assert (response.status_code, response.json() | {"user_id": 0}) == (
        201,
        {"user_id": 0, "external_id": "app:1"} | DEFAULTS,
    )


def test_null_empties_a_text(service: APIClient) -> None:
    put(service, "app:1", ALL)
    response = put(service, "app:1", {"market": None, "display_name": None})
    assert response.json().items() >= {"market": "", "display_name": "", "consent": False}.items()


@pytest.mark.parametrize(
    "external_id",
    [
        "4711",
        "external:external:x",
        "Zoë O'Brien",
        "日本語 🎧",
        "100%25 + ?&#=;",
        "a\u200db",
        " x ",
        "..",
        "x" * 128,
    ],
)
def test_any_text_can_be_an_external_id(external_id: str, service: APIClient) -> None:
    stored = external_id.removeprefix("external:")
    assert put(service, external_id).status_code == 201
    assert put(service, f"external:{stored}").status_code == 200
    assert put_many(service, {"external_id": external_id})["unchanged"] == 1
    [user] = User.objects.all()
    assert user.external_id == stored
    user.clean_fields()  # so that an operator can save it in the admin


@pytest.mark.parametrize(
    ("external_id", "detail"),
    [
        ("external:", "the external id is empty"),
        (" ", "the external id is empty"),
        ("x" * 129, "the external id has 129 characters; it may have 128"),
        ("a\x00b", "the external id contains control characters or invalid Unicode"),
        ("a\nb", "the external id contains control characters or invalid Unicode"),
    ],
)
def test_an_invalid_external_id_is_refused(external_id: str, detail: str, service: APIClient) -> None:
    errors = assert_problem(put(service, external_id), 400)["errors"]
    assert errors == [{"pointer": "{external_id}", "detail": detail}]
    [rejected] = put_many(service, {"external_id": external_id})["rejected"]
    assert rejected["errors"][0]["pointer"] == "#/listeners/0/external_id"
    assert not User.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"market": "de"}, "#/market", "must be two capital letters, as in ISO 3166-1, or empty"),
        ({"consent": None}, "#/consent", "This field may not be null."),
        ({"allow_explicit": "perhaps"}, "#/allow_explicit", "must be true or false"),
        ({"display_name": "x" * 129}, "#/display_name", "Ensure this field has no more than 128 characters."),
        ({"display_name": "a\x00"}, "#/display_name", "Null characters are not allowed."),
        (
            {"explicit": False},
            "#/explicit",
            "unknown field; this body accepts consent, market, allow_explicit, display_name",
        ),
        (
            {"is_staff": True},
            "#/is_staff",
            "unknown field; this body accepts consent, market, allow_explicit, display_name",
        ),
        ([], "#", "Invalid data. Expected a dictionary, but got list."),
    ],
)
def test_an_invalid_setting_names_its_field_and_stores_nothing(
    body: Any, pointer: str, detail: str, service: APIClient
) -> None:
    assert assert_problem(put(service, "app:1", body), 400)["errors"] == [{"pointer": pointer, "detail": detail}]
    assert not User.objects.exists()


def test_many_listeners_are_counted_and_each_is_found_by_its_index(service: APIClient) -> None:
    put(service, "old", {"market": "DE"})
    put(service, "same", {"market": "DE"})
    answer = put_many(
        service,
        {"external_id": "new"} | ALL,
        {"external_id": "external:old", "market": "FR"},
        {"external_id": "same", "market": "DE"},
        {"external_id": "new", "market": "IT"},
        {"external_id": "bad", "market": "xx"},
        {"market": "DE"},
        "text",
        {"external_id": "odd", "colour": "blue"},
        {"external_id": 7},
    )
    ids = dict(User.objects.values_list("external_id", "pk"))
    assert [answer[name] for name in ("created", "updated", "unchanged")] == [2, 1, 1]
    assert answer["results"] == [
        {"index": index, "external_id": name, "user_id": ids[name]}
        for index, name in [(0, "new"), (1, "old"), (2, "same"), (8, "7")]
    ]
    rejected = [(item["index"], item["external_id"], item["errors"][0]["pointer"]) for item in answer["rejected"]]
    assert rejected == [
        (3, "new", "#/listeners/3/external_id"),
        (4, "bad", "#/listeners/4/market"),
        (5, None, "#/listeners/5/external_id"),
        (6, None, "#/listeners/6"),
        (7, "odd", "#/listeners/7/colour"),
    ]
    assert dict(User.objects.values_list("external_id", "market")) == {"new": "DE", "old": "FR", "same": "DE", "7": ""}


def test_a_thousand_listeners_take_a_fixed_number_of_queries(service: APIClient) -> None:
    listeners = [{"external_id": f"app {n}", "market": "DE"} for n in range(1000)]
    for changes, expected in [({}, "created"), ({}, "unchanged"), ({"market": "FR"}, "updated")]:
        with CaptureQueriesContext(connection) as queries:
            assert put_many(service, *(listener | changes for listener in listeners))[expected] == 1000
        assert len(queries) < 30, expected
    assert set(User.objects.values_list("market", flat=True)) == {"FR"}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#"),
        ([], "#"),
        ({"listeners": []}, "#/listeners"),
        ({"listeners": {}}, "#/listeners"),
        ({"listeners": [{"external_id": str(n)} for n in range(1001)]}, "#/listeners"),
        ({"listeners": [], "mode": "x"}, "#/mode"),
    ],
)
def test_a_body_that_is_no_list_of_listeners_is_refused(body: Any, pointer: str, service: APIClient) -> None:
    assert assert_problem(service.put("/listeners", body, format="json"), 400)["errors"][0]["pointer"] == pointer
    assert not User.objects.exists()


def test_half_an_emoji_rejects_its_listener_only(service: APIClient) -> None:
    listeners = [{"external_id": "a"}, {"external_id": "\ud83c"}, {"external_id": "b", "display_name": "\ud83c"}]
    body = json.dumps({"listeners": listeners})
    answer = service.put("/listeners", body, content_type="application/json").json()
    assert (answer["created"], [rejected["index"] for rejected in answer["rejected"]]) == (1, [1, 2])


@pytest.mark.parametrize("field", ["is_staff", "is_superuser"])
def test_a_key_cannot_change_an_operator(field: str, service: APIClient, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(external_id="app:1", **{field: True})
    detail = "this is an operator's account; change it in the admin"
    assert assert_problem(put(service, "app:1", ALL), 409)["detail"] == detail
    assert assert_problem(service.patch(f"/users/{alice.pk}", ALL, format="json"), 409)["detail"] == detail
    [rejected] = put_many(service, {"external_id": "app:1"} | ALL)["rejected"]
    assert rejected["errors"] == [{"pointer": "#/listeners/0/external_id", "detail": detail}]
    assert service.get(f"/users/{alice.pk}").json().items() >= DEFAULTS.items()


def test_a_user_name_that_an_external_id_resembles_stays_somebody_elses(service: APIClient, alice: User) -> None:
    assert put(service, "alice").status_code == 201
    assert User.objects.get(external_id="alice").pk != alice.pk
    assert put_many(service, {"external_id": "x:1"}, {"external_id": "x-1"}, {"external_id": "x 1"})["created"] == 3


def test_an_erased_listener_is_not_created_again(service: APIClient) -> None:
    request_erasure(get_or_create_user_ids(["app:1"])["app:1"])
    for _ in ("pending", "completed"):
        assert assert_problem(put(service, "app:1"), 409)["detail"] == ERASED
        answer = put_many(service, {"external_id": "app:1"}, {"external_id": "app:2"})
        assert [rejected["errors"][0]["detail"] for rejected in answer["rejected"]] == [ERASED]
        finish_erasures()
    assert list(User.objects.values_list("external_id", flat=True)) == ["app:2"]


def test_a_closed_account_is_not_changed(service: APIClient, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(external_id="app:1", is_active=False)
    detail = "this account is closed; an operator can open it in the admin"
    assert assert_problem(put(service, "app:1", ALL), 409)["detail"] == detail
    assert User.objects.get().market == ""


def test_new_settings_change_the_revision_and_the_next_answer(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.tracks(2)
    catalogue.tracks(1, explicit=True)
    put(service, "app:1")
    revisions = [User.objects.get().revision]
    clean, any_track = {"allow_explicit": False}, {"allow_explicit": True}
    for body, shown in [({}, 3), (clean, 2), (clean, 2), (any_track, 3)]:
        put(service, "app:1", body)
        revisions.append(User.objects.get().revision)
        assert len(service.get("/recommend/user/external:app:1/ml").json()["results"]) == shown
    service.patch("/users/external:app:1", {"display_name": "Zoë"}, format="json")
    revisions.append(User.objects.get().revision)
    # Neither an empty body nor a repetition is a change.
    assert [before != after for before, after in pairwise(revisions)] == [False, True, False, True, True]


def test_a_listener_names_themselves(alice: User, as_listener: Callable[[User], APIClient]) -> None:
    response = as_listener(alice).patch("/users/me", {"display_name": "Alice L."}, format="json")
    assert response.json() == {"user_id": alice.pk, "external_id": None} | DEFAULTS | {"display_name": "Alice L."}
    assert b'"display_name":"Alice L."' in b"".join(as_listener(alice).get("/users/me/export").streaming_content)


def test_a_listener_is_looked_up_with_or_without_the_prefix(service: APIClient) -> None:
    user_id = put(service, "app:1").json()["user_id"]
    for name in ("app:1", "external:app:1"):
        assert service.get("/listeners", {"external_id": name}).json() == {"user_id": user_id, "external_id": "app:1"}
    assert_problem(service.get("/listeners", {"external_id": "external:"}), 400)
    assert_problem(service.get("/listeners/external:app:2"), 404)


def in_threads(tasks: list[Callable[[], Any]]) -> list[Any]:
    def run(task: Callable[[], Any]) -> Any:
        try:
            return task()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@pytest.mark.django_db(transaction=True)
def test_two_upserts_of_one_listener_at_once_make_one_row() -> None:
    api = as_service("listeners")
    for n in range(5):
        answers = in_threads([lambda n=n: put(api, f"app:{n}", {"market": "DE"}) for _ in range(8)])  # type: ignore[misc]
        assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
        assert len({answer.json()["user_id"] for answer in answers}) == 1
    assert sorted(User.objects.values_list("external_id", flat=True)) == [f"app:{n}" for n in range(5)]


@pytest.mark.django_db(transaction=True)
def test_bulk_upserts_and_events_at_once_create_each_listener_once() -> None:
    api = as_service("listeners", "events")
    CatalogueFactory().tracks(1)
    names = [f"app {n}" for n in range(100)]

    def upsert(order: list[str], market: str) -> Any:
        return put_many(api, *({"external_id": name, "market": market} for name in order))

    def report(order: list[str]) -> Any:
        events = [new_event("external:t:0", user_id=f"external:{name}") for name in order]
        return api.post("/events", events, format="json").json()

    *upserts, first, second = in_threads(
        [
            *(lambda n=n: upsert(names if n % 2 else names[::-1], "DE" if n < 3 else "FR") for n in range(6)),  # type: ignore[misc]
            lambda: report(names),
            lambda: report(names[::-1]),
        ]
    )
    assert User.objects.count() == 100
    assert sum(answer["created"] for answer in upserts) <= 100
    assert all(answer["created"] + answer["updated"] + answer["unchanged"] == 100 for answer in upserts)
    assert [first["accepted"], second["accepted"]] == [100, 100]
    assert set(User.objects.values_list("market", flat=True)) <= {"DE", "FR"}
