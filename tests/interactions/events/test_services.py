"""Batches that are repeated, gzipped or sent with an idempotency key, and every type of event."""

import gzip
import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from engine.data.plays import Signal
from engine.data.user_item_pairs import UserItemPairs
from interactions.events.event_types import EventType
from interactions.models import EventBatch, Exposure, Interaction
from interactions.selectors import load_history
from interactions.training_data import iter_play_chunks
from tests.conftest import assert_problem
from tests.interactions.events.test_views import new_event
from tests.people import CatalogueFactory

EVENTS = "/events"
EVENT_TYPES = [event_type.value for event_type in EventType]


@pytest.fixture
def api(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


def test_every_type_is_stored_and_only_interactions_are_learnt_from(
    api: APIClient, catalogue: CatalogueFactory
) -> None:
    track, slate = catalogue.tracks(1, duration_ms=200_000)[0].pk, str(uuid.uuid4())
    batch = [new_event(track, type=name, recommendation_id=slate, position=3) for name in EVENT_TYPES]
    receipt = api.post(EVENTS, batch, format="json").json()
    assert (receipt["accepted"], receipt["rejected"]) == (12, [])
    assert sorted(Exposure.objects.values_list("kind", flat=True)) == ["click", "impression", "play_start"]
    assert set(Interaction.objects.values_list("kind", flat=True)) == set(Interaction.Kind.values)
    for table in (Interaction, Exposure):
        assert set(table.objects.values_list("recommendation_id", "position")) == {(uuid.UUID(slate), 3)}
    [chunk] = iter_play_chunks()
    assert sorted(chunk.signal.tolist()) == sorted(Signal)
    assert api.post(EVENTS, batch, format="json").json()["duplicates"] == 12


def test_a_play_that_the_listener_ends_within_30_seconds_is_a_skip(api: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1, duration_ms=200_000)[0].pk
    batch = [
        new_event(track, ms_played=4_000, end_reason="skipped"),
        new_event(track, ms_played=4_000, end_reason="interrupted"),
        new_event(track, ms_played=120_000, end_reason="skipped"),
    ]
    api.post(EVENTS, batch, format="json")
    stored = Interaction.objects.order_by("ms_played", "pk").values_list("end_reason", "is_skip", "is_listen")
    assert sorted(stored) == [("interrupted", False, False), ("skipped", False, True), ("skipped", True, False)]


def test_a_batch_may_be_gzipped(api: APIClient, catalogue: CatalogueFactory) -> None:
    body = json.dumps([new_event(t.pk) for t in catalogue.tracks(20)]).encode()
    sent: dict[str, Any] = {"content_type": "application/json", "HTTP_CONTENT_ENCODING": "gzip"}
    assert api.post(EVENTS, gzip.compress(body), **sent).json()["accepted"] == 20
    for broken in (body, gzip.compress(body)[:-12], b"", gzip.compress(b"[")):
        assert_problem(api.post(EVENTS, broken, **sent), 400)
    assert_problem(api.post(EVENTS, gzip.compress(b" " * 50_000_000), **sent), 413)
    assert_problem(api.post(EVENTS, body, content_type="application/json", HTTP_CONTENT_ENCODING="br"), 415)


def test_the_same_idempotency_key_is_answered_with_the_same_receipt(
    api: APIClient, catalogue: CatalogueFactory
) -> None:
    batch = [new_event(catalogue.tracks(1)[0].pk), {"type": "nonsense"}]
    first, again = (api.post(EVENTS, batch, format="json", HTTP_IDEMPOTENCY_KEY="batch-1") for _ in range(2))
    assert first.json() == again.json()
    assert (again.status_code, again.json()["accepted"], len(again.json()["rejected"])) == (202, 1, 1)
    other = assert_problem(api.post(EVENTS, batch[:1], format="json", HTTP_IDEMPOTENCY_KEY="batch-1"), 422)
    assert "new batch needs a new key" in other["detail"]
    assert api.post(EVENTS, batch, format="json", HTTP_IDEMPOTENCY_KEY="batch-2").json()["duplicates"] == 1


def test_an_idempotency_key_belongs_to_its_sender(
    api: APIClient, bob: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    batch = [new_event(catalogue.tracks(1)[0].pk)]
    for sender in (api, as_listener(bob)):
        assert sender.post(EVENTS, batch, format="json", HTTP_IDEMPOTENCY_KEY="k").json()["accepted"] == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 129, "ü"])
def test_an_invalid_idempotency_key_is_refused(api: APIClient, catalogue: CatalogueFactory, key: str) -> None:
    batch = [new_event(catalogue.tracks(1)[0].pk)]
    problem = assert_problem(api.post(EVENTS, batch, format="json", HTTP_IDEMPOTENCY_KEY=key), 400)
    assert "must be 1 to 128 visible ASCII characters" in problem["detail"]
    assert not Interaction.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_ten_clients_with_one_key_at_once_get_one_receipt(as_listener: Callable[[User], APIClient]) -> None:
    alice, tracks = User.objects.create_user("alice"), CatalogueFactory().tracks(20)
    batch = [new_event(t.pk) for t in tracks]

    def send(_: int) -> Any:
        try:
            response = as_listener(alice).post(EVENTS, batch, format="json", HTTP_IDEMPOTENCY_KEY="one")
            return response.status_code, response.json()
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(send, range(10)))
    assert answers == [(202, {"accepted": 20, "duplicates": 0, "rejected": []})] * 10
    assert (Interaction.objects.count(), EventBatch.objects.count()) == (20, 1)


def test_without_consent_no_event_is_stored(api: APIClient, alice: User, catalogue: CatalogueFactory) -> None:
    User.objects.filter(pk=alice.pk).update(consent=False)
    track = catalogue.tracks(1)[0].pk
    receipt = api.post(EVENTS, [new_event(track), new_event(track, type="impression")], format="json").json()
    assert (receipt["accepted"], len(receipt["rejected"])) == (0, 2)
    assert "consent is off" in receipt["rejected"][0]["detail"]
    assert not Interaction.objects.exists()
    assert not Exposure.objects.exists()


def test_a_listener_with_a_pending_erasure_is_unknown(
    service: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    User.objects.filter(pk=alice.pk).update(is_active=False)
    receipt = service.post(EVENTS, [new_event(catalogue.tracks(1)[0].pk, user_id=alice.pk)], format="json").json()
    assert receipt["rejected"][0]["detail"] == f"user_id: there is no listener {alice.pk}"


@pytest.mark.parametrize("offset", ["+16:00", "-23:59", "+23:59", "Z"])
def test_any_utc_offset_is_accepted(api: APIClient, catalogue: CatalogueFactory, offset: str) -> None:
    track = catalogue.tracks(1)[0].pk
    batch = [new_event(track, type=kind, occurred_at=f"2020-01-01T00:00:00{offset}") for kind in ("like", "click")]
    assert api.post(EVENTS, batch, format="json").json()["accepted"] == 2
    assert Interaction.objects.get().played_at == Exposure.objects.get().occurred_at


def test_a_like_ignores_the_playback_fields(api: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1, duration_ms=200_000)[0].pk
    api.post(EVENTS, [new_event(track, type="like", ms_played=4_000, end_reason="skipped")], format="json")
    stored = Interaction.objects.get()
    assert (stored.is_skip, stored.ms_played, stored.end_reason, stored.milestone) == (False, None, "", 0)


def test_training_and_serving_agree_on_opinions_of_the_same_second(
    api: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    track = catalogue.tracks(1)[0].pk
    like = new_event(track, type="like", event_id="f" * 8 + "-0000-4000-8000-" + "f" * 12)
    unlike = new_event(track, type="unlike", event_id="00000000-0000-4000-8000-000000000000")
    like["occurred_at"], unlike["occurred_at"] = "2026-01-01T10:00:00.100Z", "2026-01-01T10:00:00.900Z"
    api.post(EVENTS, [unlike, like], format="json")
    [chunk] = iter_play_chunks()
    assert UserItemPairs.from_listener(chunk).liked.tolist() == load_history(alice.pk).pairs.liked.tolist() == [False]


def test_an_idempotency_key_expires_after_two_days(api: APIClient, catalogue: CatalogueFactory) -> None:
    batch = [new_event(catalogue.tracks(1)[0].pk)]
    api.post(EVENTS, batch, format="json", HTTP_IDEMPOTENCY_KEY="k")
    EventBatch.objects.update(created_at=timezone.now() - timedelta(days=2, seconds=1))
    assert api.post(EVENTS, batch, format="json", HTTP_IDEMPOTENCY_KEY="k").json()["duplicates"] == 1
