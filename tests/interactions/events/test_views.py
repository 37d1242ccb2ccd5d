import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.models import Exposure, Interaction
from tests.conftest import assert_problem
from tests.people import NOON, CatalogueFactory


def new_event(track_id: int | str, **fields: Any) -> dict[str, Any]:
    whole = {"event_id": str(uuid.uuid4()), "type": "play_end", "track_id": track_id, "ms_played": 150_000}
    return whole | {"occurred_at": NOON.isoformat()} | fields


def test_a_play_is_stored_with_its_fields(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    track = catalogue.tracks(1, duration_ms=200_000)[0]
    sent = new_event(track.pk, session_id="s1", device="phone", context="picks")
    response = as_listener(alice).post("/events", [sent], format="json")
    assert (response.status_code, response.json()) == (202, {"accepted": 1, "duplicates": 0, "rejected": []})
    stored = Interaction.objects.get()
    assert (stored.user, stored.track, stored.played_at, str(stored.event_id)) == (alice, track, NOON, sent["event_id"])
    assert (stored.kind, stored.plays, stored.ms_played) == ("play", 1, 150_000)
    assert (stored.milestone, stored.is_completed) == (75, False)
    assert (stored.session_id, stored.device, stored.context, stored.source) == ("s1", "phone", "picks", "api")


@pytest.mark.parametrize(
    ("ms_played", "milestone", "completed"),
    [(0, 0, False), (190_000, 95, True), (900_000, 100, True), (None, 0, False)],
)
def test_milestone_and_completion_are_derived_from_the_duration(
    alice: User,
    catalogue: CatalogueFactory,
    as_listener: Callable[[User], APIClient],
    ms_played: int | None,
    milestone: int,
    completed: bool,
) -> None:
    track = catalogue.tracks(1, duration_ms=200_000)[0]
    as_listener(alice).post("/events", [new_event(track.pk, ms_played=ms_played)], format="json")
    assert Interaction.objects.values_list("milestone", "is_completed").get() == (milestone, completed)


def test_an_event_sent_twice_counts_once(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    batch = [new_event(t.pk) for t in catalogue.tracks(3)]
    api = as_listener(alice)
    assert api.post("/events", [*batch, batch[0]], format="json").json()["duplicates"] == 1
    again = api.post("/events", batch, format="json").json()
    assert again == {"accepted": 0, "duplicates": 3, "rejected": []}
    assert Interaction.objects.count() == 3


def test_the_same_event_id_of_two_listeners_is_two_events(
    alice: User, bob: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    sent = new_event(catalogue.tracks(1)[0].pk)
    for user in (alice, bob):
        assert as_listener(user).post("/events", [sent], format="json").json()["accepted"] == 1


INVALID_EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"event_id": "not-a-uuid"}, "event_id: invalid UUID"),
    ({"type": "teleport"}, "type: invalid enum value 'teleport'; one of impression, click, "),
    ({"track_id": 10**30}, "track_id:"),
    ({"track_id": -1}, "track_id:"),
    ({"track_id": 999_999}, "track_id: there is no track 999999 in the catalogue"),
    ({"ms_played": -5}, "ms_played: expected `int` >= 0"),
    ({"occurred_at": "yesterday"}, "occurred_at:"),
    ({"occurred_at": "2026-01-01T10:00:00"}, "occurred_at: expected `datetime` with a timezone component"),
    ({"position": 0}, "position: expected `int` >= 1"),
    ({"end_reason": "boredom"}, "end_reason: invalid enum value 'boredom'"),
    ({"recommendation_id": 5}, "recommendation_id:"),
    ({"occurred_at": "1970-01-01T00:00:00Z"}, "occurred_at: must not be before the year 2000"),
    ({"occurred_at": "0001-01-01T00:00:00+23:59"}, "occurred_at: must not be before the year 2000"),
    ({"session_id": "x" * 65}, "session_id:"),
    ({"session_id": "a\x00b"}, "session_id: null characters are not allowed"),
    ({"user_id": 10**6}, "user_id: must be the token's own listener; leave it out"),
]


@pytest.mark.parametrize(("fields", "fault"), INVALID_EVENTS)
def test_an_invalid_event_is_reported_and_the_others_are_stored(
    alice: User,
    catalogue: CatalogueFactory,
    as_listener: Callable[[User], APIClient],
    fields: dict[str, Any],
    fault: str,
) -> None:
    track = catalogue.tracks(1)[0].pk
    batch = [new_event(track), new_event(track) | fields, new_event(track)]
    receipt = as_listener(alice).post("/events", batch, format="json")
    assert receipt.status_code == 202
    assert receipt.json()["accepted"] == 2
    [rejected] = receipt.json()["rejected"]
    assert (rejected["index"], rejected["event_id"]) == (1, batch[1]["event_id"])
    assert fault in rejected["detail"]


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b'"device": "phone \\ud83c"', "device: is not valid Unicode"),
        (b'"session_id": "\\udfb5"', "session_id: is not valid Unicode"),
        (b'"context": "cut off \xf0\x9f\x8e"', "context: is not valid Unicode"),
        (b'"event_id": "\\ud83c"', "event_id: is not valid Unicode"),
        (b'"type": "\\ud83c"', "type: is not valid Unicode"),
        (b'"type": "a\\u0000"', "type: invalid enum value 'a\\x00'"),
        (b'"occurred_at": "\\ud83c"', "occurred_at: is not valid Unicode"),
        (b'"\\ud83c": 1', "\\ud83c: unknown field; an event accepts event_id, type, "),
        (b'"ms_played": NaN', "ms_played: expected `int | null`, got `float`"),
        (b'"ms_played": -Infinity', "ms_played: expected `int | null`, got `float`"),
        (b'"ms_played": 1e999', "ms_played: expected `int | null`, got `float`"),
        (b'"ms_played": ' + b"1" * 5000, "ms_played: expected `int | null`, got `float`"),
        (b'"track_id": 1e30', "track_id: expected `int` <= 9223372036854775807"),
        (b'"position": 1.5', "position: expected `int | null`, got `float`"),
        (b", ".join(b'"extra %d": 1' % n for n in range(100)), "an object has 105 names; it may have 100"),
        (
            b'"extra": ' + b"[" * 16 + b"]" * 16,
            "objects and arrays are nested too deeply; at most 16 levels are allowed",
        ),
    ],
)
@pytest.mark.parametrize("headers", [{}, {"HTTP_IDEMPOTENCY_KEY": "k"}])
def test_a_value_that_no_other_json_parser_likes_costs_its_event_only(
    alice: User,
    catalogue: CatalogueFactory,
    as_listener: Callable[[User], APIClient],
    raw: bytes,
    fault: str,
    headers: dict[str, str],
) -> None:
    track = catalogue.tracks(1)[0].pk
    items = [json.dumps(new_event(track)).encode() for _ in range(3)]
    items[1] = items[1][:-1] + b", " + raw + b"}"
    sent: dict[str, Any] = {"content_type": "application/json"} | headers
    first, again = (as_listener(alice).post("/events", b"[" + b",".join(items) + b"]", **sent) for _ in range(2))
    assert (first.status_code, first.json()["accepted"]) == (202, 2)
    [rejected] = first.json()["rejected"]
    assert rejected["index"] == 1
    assert rejected["detail"].startswith(fault)
    assert again.json() == (first.json() if headers else first.json() | {"accepted": 0, "duplicates": 2})
    assert Interaction.objects.count() == 2


@pytest.mark.parametrize(
    "field", ["user_id", "ms_played", "end_reason", "session_id", "device", "context", "recommendation_id", "position"]
)
def test_null_in_an_optional_field_means_absent(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient], field: str
) -> None:
    sent = new_event(catalogue.tracks(1)[0].pk) | {field: None}
    batch = [sent | {"event_id": str(uuid.uuid4()), "type": kind} for kind in ("play_end", "like", "impression")]
    receipt = as_listener(alice).post("/events", batch, format="json").json()
    assert receipt == {"accepted": 3, "duplicates": 0, "rejected": []}
    for row in (*Interaction.objects.all(), *Exposure.objects.all()):
        assert (row.session_id, row.device, row.context, row.recommendation_id, row.position) == (
            "",
            "",
            "",
            None,
            None,
        )


def test_floats_without_a_fraction_are_whole_numbers(
    service: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    track = catalogue.tracks(1, duration_ms=200_000)[0]
    sent = new_event(track.pk) | {
        "track_id": float(track.pk), "user_id": float(alice.pk), "ms_played": 183_456.0, "position": 3.0,
    }  # fmt: skip
    assert service.post("/events", [sent], format="json").json()["accepted"] == 1
    stored = Interaction.objects.get()
    assert (stored.user, stored.track, stored.ms_played, stored.position) == (alice, track, 183_456, 3)


@pytest.mark.parametrize("item", [None, 7, "x", [], {}])
def test_an_item_that_is_not_an_object_is_rejected(
    alice: User, as_listener: Callable[[User], APIClient], item: object
) -> None:
    receipt = as_listener(alice).post("/events", [item], format="json").json()
    assert (receipt["accepted"], len(receipt["rejected"])) == (0, 1)


@pytest.mark.parametrize("body", [{}, [], "text", 5, None])
def test_a_body_that_is_not_a_batch_is_refused(
    alice: User, as_listener: Callable[[User], APIClient], body: object
) -> None:
    problem = assert_problem(as_listener(alice).post("/events", body, format="json"), 400)
    assert "the body must be a JSON array of 1 to 500 events" in problem["detail"]


def test_a_batch_that_is_too_long_is_refused_as_a_whole(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    track = catalogue.tracks(1)[0].pk
    assert_problem(as_listener(alice).post("/events", [new_event(track)] * 501, format="json"), 400)
    assert not Interaction.objects.exists()


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 400), (b"{", 400), (b"\xff\xfe", 400), (b"[" * 5_000, 400), (b"[" * 100_000, 413)]
)
def test_a_body_that_is_not_json_is_refused(
    alice: User, as_listener: Callable[[User], APIClient], content: bytes, status: int
) -> None:
    assert_problem(as_listener(alice).post("/events", content, content_type="application/json"), status)


def test_events_sent_with_a_service_key_must_name_the_listener(
    service: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    track = catalogue.tracks(1)[0].pk
    batch = [new_event(track, user_id=alice.pk), new_event(track), new_event(track, user_id=alice.pk + 999)]
    receipt = service.post("/events", batch, format="json").json()
    assert receipt["accepted"] == 1
    assert [(r["index"], r["detail"]) for r in receipt["rejected"]] == [
        (1, "user_id: is required with a service key"),
        (2, f"user_id: there is no listener {alice.pk + 999}"),
    ]


def test_a_time_slightly_in_the_future_is_accepted(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    track = catalogue.tracks(1)[0].pk
    soon = new_event(track, occurred_at=(timezone.now() + timedelta(minutes=2)).isoformat())
    assert as_listener(alice).post("/events", [soon], format="json").json()["accepted"] == 1


def test_a_like_is_stored_as_a_like(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    track = catalogue.tracks(1)[0].pk
    as_listener(alice).post("/events", [new_event(track, type="like", ms_played=None)], format="json")
    assert Interaction.objects.get().kind == "like"


@pytest.mark.django_db(transaction=True)
def test_ten_clients_sending_the_same_batch_at_once_store_it_once(as_listener: Callable[[User], APIClient]) -> None:
    alice, tracks = User.objects.create_user("alice"), CatalogueFactory().tracks(20)
    batch = [new_event(t.pk) for t in tracks]

    def send(_: int) -> dict[str, Any]:
        try:
            response = as_listener(alice).post("/events", batch, format="json")
            assert response.status_code == 202, response.content
            return response.json()
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        receipts = list(pool.map(send, range(10)))
    assert sum(r["accepted"] for r in receipts) == 20
    assert sum(r["duplicates"] for r in receipts) == 180
    assert Interaction.objects.count() == 20


@pytest.mark.parametrize("fields", [{"plays": 0}, {"milestone": 101}, {"kind": "dance"}, {"ms_played": -1}])
def test_the_table_refuses_an_invalid_row(alice: User, catalogue: CatalogueFactory, fields: dict[str, Any]) -> None:
    track = catalogue.tracks(1)[0]
    with pytest.raises(IntegrityError), transaction.atomic():
        catalogue.play(alice, track, **fields)
    assert not Interaction.objects.exists()


def test_nested_values_are_rejected_however_deep(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    track = catalogue.tracks(1)[0].pk
    for name in ("event_id", "type", "track_id", "session_id"):
        nested = '{"%s": %s}' % (name, "[" * 900 + "]" * 900)  # noqa: UP031
        body = f"[{nested}, {json.dumps(new_event(track))}]"
        receipt = as_listener(alice).post("/events", body, content_type="application/json")
        assert (receipt.status_code, receipt.json()["accepted"], len(receipt.json()["rejected"])) == (202, 1, 1)
