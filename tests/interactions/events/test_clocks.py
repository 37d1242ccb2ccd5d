"""Events of clients whose clocks are wrong."""

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.models import Exposure, Interaction
from interactions.selectors import load_history
from tests.conftest import assert_problem
from tests.interactions.events.test_views import new_event
from tests.people import CatalogueFactory

HOUR = timedelta(hours=1)
ALL_ACCEPTED = {"accepted": 1, "duplicates": 0, "rejected": []}


@pytest.fixture
def api(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


@pytest.fixture
def track(catalogue: CatalogueFactory) -> int:
    return catalogue.tracks(1)[0].pk


def send(api: APIClient, *events: dict[str, Any], **fields: Any) -> Any:
    return api.post("/events", {"events": events} | fields, format="json").json()


def stored(row: Interaction | Exposure) -> tuple[datetime, str]:
    return (row.played_at if isinstance(row, Interaction) else row.occurred_at), row.clock


@pytest.mark.parametrize("error", [3 * HOUR, -3 * HOUR, timedelta(days=4_000), timedelta(days=-20_000)])
@pytest.mark.parametrize(("kind", "table"), [("play_end", Interaction), ("like", Interaction), ("click", Exposure)])
def test_the_clock_of_the_batch_corrects_a_wrong_clock(
    api: APIClient, track: int, error: timedelta, kind: str, table: type[Interaction] | type[Exposure]
) -> None:
    now = timezone.now()
    event = new_event(track, type=kind, occurred_at=(now - 2 * HOUR + error).isoformat())
    assert send(api, event, sent_at=(now + error).isoformat()) == ALL_ACCEPTED
    time, clock = stored(table.objects.get())
    assert abs(time - (now - 2 * HOUR)) < timedelta(minutes=1)
    assert clock == "corrected"


def test_a_right_clock_corrects_nothing(api: APIClient, track: int) -> None:
    now = timezone.now()
    for error in (timedelta(0), timedelta(minutes=4), timedelta(minutes=-4)):
        event = new_event(track, occurred_at=(now - HOUR).isoformat())
        assert send(api, event, sent_at=(now + error).isoformat()) == ALL_ACCEPTED
    assert {stored(row) for row in Interaction.objects.all()} == {(now - HOUR, "")}


@pytest.mark.parametrize("sent_at", [{}, {"sent_at": None}])
@pytest.mark.parametrize("occurred_at", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "in an hour"])
def test_without_it_an_event_from_the_future_gets_the_time_of_its_arrival(
    api: APIClient, track: int, sent_at: dict[str, Any], occurred_at: str
) -> None:
    before = timezone.now()
    if occurred_at == "in an hour":
        occurred_at = (before + HOUR).isoformat()
    events = [new_event(track, type=kind, occurred_at=occurred_at) for kind in ("play_end", "impression")]
    assert send(api, *events, **sent_at)["accepted"] == 2
    for row in (Interaction.objects.get(), Exposure.objects.get()):
        time, clock = stored(row)
        assert before <= time <= timezone.now()
        assert clock == "arrival"
    again = api.post("/events", events, format="json").json()
    assert again == {"accepted": 0, "duplicates": 2, "rejected": []}


def test_an_event_that_is_still_in_the_future_gets_the_time_of_its_arrival(api: APIClient, track: int) -> None:
    now = timezone.now()
    event = new_event(track, occurred_at=(now + 5 * HOUR).isoformat())
    send(api, event, sent_at=(now + 3 * HOUR).isoformat())
    time, clock = stored(Interaction.objects.get())
    assert (now <= time, time - now < timedelta(minutes=1), clock) == (True, True, "arrival")


def test_the_admin_lists_events_by_what_was_wrong_with_their_clock(
    api: APIClient, track: int, admin_client: Any
) -> None:
    now = timezone.now()
    events = [new_event(track, type=kind, occurred_at=(now + HOUR).isoformat()) for kind in ("like", "click")]
    send(api, *events)
    for table in ("interaction", "exposure"):
        for clock, count in (("arrival", 1), ("corrected", 0)):
            page = admin_client.get(f"/admin/interactions/{table}/?clock__exact={clock}")
            assert len(page.context["cl"].result_list) == count


def test_events_from_the_future_keep_their_order(api: APIClient, track: int, alice: User) -> None:
    times = [(timezone.now() + n * HOUR).isoformat() for n in range(1, 7)]
    kinds = ["like", "unlike"] * 3
    events = [new_event(track, type=kind, occurred_at=at) for kind, at in zip(kinds, times, strict=True)]
    assert send(api, *reversed(events))["accepted"] == 6
    assert list(Interaction.objects.order_by("played_at").values_list("kind", flat=True)) == kinds
    assert load_history(alice.pk).pairs.liked.tolist() == [False]


def test_an_event_before_2000_is_rejected_also_after_the_correction(api: APIClient, track: int) -> None:
    now = timezone.now()
    event = new_event(track, occurred_at="0001-01-01T00:00:00Z")
    receipt = send(api, event, sent_at=(now - 4 * HOUR).isoformat())
    assert receipt["rejected"][0]["detail"] == "occurred_at: must not be before the year 2000"
    assert send(api, event, sent_at="0001-01-01T00:00:00Z") == ALL_ACCEPTED
    assert not send(api, new_event(track), sent_at="9999-12-31T23:59:59-23:59")["accepted"]


def test_a_batch_that_is_sent_again_may_have_another_clock(api: APIClient, track: int) -> None:
    now = timezone.now()
    event = new_event(track, occurred_at=(now + HOUR).isoformat(), event_id=str(uuid.uuid4()))
    for error in (HOUR, 2 * HOUR):
        body = {"events": [event], "sent_at": (now + error).isoformat()}
        response = api.post("/events", body, format="json", HTTP_IDEMPOTENCY_KEY="batch")
        assert (response.status_code, response.json()) == (202, ALL_ACCEPTED)
    assert abs(Interaction.objects.get().played_at - now) < timedelta(minutes=1)


@pytest.mark.parametrize("sent_at", ["soon", 1_700_000_000, "2026-01-01T00:00:00", [], "\ud83c"])
def test_a_clock_that_cannot_be_read_is_named(api: APIClient, track: int, sent_at: Any) -> None:
    body = json.dumps({"events": [new_event(track)], "sent_at": sent_at})
    problem = assert_problem(api.post("/events", body, content_type="application/json"), 400)
    detail = "must be a time in RFC 3339, with an offset"
    assert problem["errors"] == [{"pointer": "#/sent_at", "detail": detail}]
    assert not Interaction.objects.exists()


@pytest.mark.parametrize("body", [{"events": []}, {"events": {}}, {"events": None}, {"sent_at": None}])
def test_an_object_without_events_is_refused(api: APIClient, body: dict[str, Any]) -> None:
    problem = assert_problem(api.post("/events", body, format="json"), 400)
    assert "a JSON array of 1 to 500 events, or an object with it as events" in problem["detail"]


def test_an_object_with_an_unknown_field_is_refused(api: APIClient, track: int) -> None:
    body = {"events": [new_event(track)], "sentAt": timezone.now().isoformat()}
    problem = assert_problem(api.post("/events", body, format="json"), 400)
    detail = "unknown field; this body accepts events, sent_at"
    assert problem["errors"] == [{"pointer": "#/sentAt", "detail": detail}]
    assert not Interaction.objects.exists()
