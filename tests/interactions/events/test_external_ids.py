"""Events that name listeners and tracks by external id, and create the listeners they name."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from rest_framework.test import APIClient

from access.models import User
from access.services import get_or_create_user_ids
from interactions.events.schema import FIELDS
from interactions.models import Interaction
from privacy.erasure import finish_erasures, request_erasure
from tests.conftest import as_service
from tests.interactions.events.test_views import new_event
from tests.people import CatalogueFactory

NEW = "external:app:4711"


def send(api: APIClient, *events: dict[str, Any], **headers: str) -> Any:
    response = api.post("/events", list(events), format="json", **headers)
    assert response.status_code == 202, response.content
    return response.json()


def test_listener_and_track_may_be_named_by_either_id(
    service: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    User.objects.filter(pk=alice.pk).update(external_id="app:alice")
    track = catalogue.tracks(1)[0].pk
    users, tracks = [alice.pk, str(alice.pk), "external:app:alice"], [track, str(track), "external:t:0"]
    receipt = send(service, *(new_event(t, user_id=u) for t in tracks for u in users))
    assert receipt == {"accepted": 9, "duplicates": 0, "rejected": []}
    assert set(Interaction.objects.values_list("user", "track")) == {(alice.pk, track)}


def test_an_event_creates_its_listener_once(service: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1)[0].pk
    events = [new_event(track, user_id=NEW), new_event(track, user_id=NEW), new_event(track, user_id="external:b")]
    assert send(service, *events)["accepted"] == 3
    assert send(service, *events)["duplicates"] == 3
    created = User.objects.order_by("external_id").values_list("external_id", "consent", "is_active", "is_staff")
    assert list(created) == [("app:4711", True, True, False), ("b", True, True, False)]
    assert not User.objects.get(external_id="b").has_usable_password()
    # The plays count for the next answer under either id.
    assert len(service.get(f"/recommend/user/{NEW}/ml", {"exclude_played": "true"}).json()["results"]) == 1


def test_a_listener_with_an_odd_external_id_is_created(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.tracks(1)
    for external_id in ("日本語 🎧", "a/b?c#d%20", " x ", "external:x", "7", "me", "ß" * 128):
        assert send(service, new_event("external:t:0", user_id=f"external:{external_id}"))["accepted"] == 1
        assert User.objects.get(external_id=external_id).interactions.count() == 1
    assert User.objects.count() == 7


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"track_id": "external:t:9"}, "track_id: there is no track external:t:9 in the catalogue"),
        ({"track_id": 999_999}, "track_id: there is no track 999999 in the catalogue"),
        ({"track_id": "t:0"}, "track_id: expected an integer, or external:ID with an id of your own"),
        ({"track_id": [1]}, "track_id: expected `int | str`, got `array`"),
        ({"track_id": True}, "track_id: expected `int | str`, got `bool`"),
        ({"user_id": 999_999}, "user_id: there is no listener 999999"),
        ({"user_id": "999999"}, "user_id: there is no listener 999999"),
        ({"user_id": "app:4711"}, "user_id: expected an integer, or external:ID with an id of your own"),
        ({"user_id": "external:"}, "user_id: the external id is empty"),
        ({"user_id": "external:" + "x" * 129}, "user_id: the external id has 129 characters; it may have 128"),
        ({"user_id": "external:a\x00"}, "user_id: the external id contains control characters or invalid Unicode"),
        ({"user_id": "0"}, "user_id: expected `int` >= 1"),
        ({"user_id": "9" * 500}, "user_id: expected `int` <= 9223372036854775807"),
        ({"occurred_at": "1970-01-01T00:00:00Z", "user_id": 7}, "user_id: there is no listener 7"),
        ({"ms_plaid": 7}, f"ms_plaid: unknown field; an event accepts {', '.join(FIELDS)}"),
        ({"x" * 500: 7}, f"{'x' * 100}: unknown field; an event accepts {', '.join(FIELDS)}"),
    ],
)
def test_a_rejected_event_names_its_fault_and_creates_nobody(
    service: APIClient, catalogue: CatalogueFactory, fields: dict[str, Any], detail: str
) -> None:
    event = new_event(catalogue.tracks(1)[0].pk, user_id=NEW) | fields
    [rejected] = send(service, event)["rejected"]
    assert (rejected["event_id"], rejected["type"], rejected["detail"]) == (event["event_id"], "play_end", detail)
    assert not Interaction.objects.exists()
    assert not User.objects.exists()


def test_half_an_emoji_in_an_external_id_rejects_its_event(service: APIClient, catalogue: CatalogueFactory) -> None:
    event = new_event(catalogue.tracks(1)[0].pk, user_id="external:\ud83c")
    receipt = service.post("/events", json.dumps([event]), content_type="application/json").json()
    detail = "user_id: the external id contains control characters or invalid Unicode"
    assert [rejected["detail"] for rejected in receipt["rejected"]] == [detail]
    assert not User.objects.exists()


def test_no_listener_is_created_if_the_setting_is_off(
    service: APIClient, catalogue: CatalogueFactory, settings: Any
) -> None:
    settings.MUSICREC |= {"CREATE_LISTENERS": False}
    [rejected] = send(service, new_event(catalogue.tracks(1)[0].pk, user_id=NEW))["rejected"]
    assert rejected["detail"] == "user_id: there is no listener external:app:4711"
    assert not User.objects.exists()


def test_a_token_names_its_own_listener_only_and_creates_nobody(
    alice: User, bob: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    track = catalogue.tracks(1)[0].pk
    User.objects.filter(pk=alice.pk).update(external_id="app:alice")
    User.objects.filter(pk=bob.pk).update(external_id="app:bob")
    names = ["external:app:alice", str(alice.pk), None, "external:app:bob", NEW]
    receipt = send(as_listener(alice), *(new_event(track, user_id=name) for name in names))
    assert (receipt["accepted"], [r["index"] for r in receipt["rejected"]]) == (3, [3, 4])
    assert {r["detail"] for r in receipt["rejected"]} == {"user_id: must be the token's own listener; leave it out"}
    assert set(Interaction.objects.values_list("user", flat=True)) == {alice.pk}
    assert User.objects.count() == 2


def test_an_erased_listener_is_not_created_again(service: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1)[0].pk
    request_erasure(get_or_create_user_ids(["app:4711"])["app:4711"])
    for _ in ("pending", "completed"):
        [rejected] = send(service, new_event(track, user_id=NEW))["rejected"]
        assert rejected["detail"] == "user_id: this listener was erased on request, and is not created again"
        finish_erasures()
    assert not User.objects.exists()
    assert not Interaction.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_clients_that_report_new_listeners_at_once_create_each_once() -> None:
    track = CatalogueFactory().tracks(1)[0].pk
    api = as_service("events")
    names = [f"external:app {n}" for n in range(20)]

    def report(number: int) -> Any:
        try:
            # In different orders, so that the transactions would deadlock if they inserted in these orders.
            order = names if number % 2 else names[::-1]
            return send(api, *(new_event(track, user_id=name) for name in order))
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(report, range(8)))
    assert receipts == [{"accepted": 20, "duplicates": 0, "rejected": []}] * 8
    assert sorted(f"external:{user.external_id}" for user in User.objects.all()) == sorted(names)
    assert Interaction.objects.count() == 160
