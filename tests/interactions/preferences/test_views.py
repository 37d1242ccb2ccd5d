"""Likes, dislikes and blocks: set, repeated, withdrawn."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.models import Block, Interaction
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.models import Tag

NO_PREFERENCES: dict[str, Any] = {"likes": [], "dislikes": [], "blocks": []}


@pytest.fixture
def api(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


def load_preferences(api: APIClient) -> dict[str, Any]:
    response = api.get("/users/me/preferences")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


def test_likes_and_their_withdrawal_may_be_repeated(api: APIClient, catalogue: CatalogueFactory) -> None:
    one, two = (t.pk for t in catalogue.tracks(2))
    assert load_preferences(api) == NO_PREFERENCES
    for track in (one, one, two):
        assert api.put(f"/users/me/likes/{track}").status_code == 204
    assert load_preferences(api)["likes"] == [two, one]
    assert Interaction.objects.count() == 2
    for _ in range(2):
        assert api.delete(f"/users/me/likes/{one}").status_code == 204
    assert load_preferences(api) == NO_PREFERENCES | {"likes": [two]}
    assert Interaction.objects.count() == 3


@pytest.mark.parametrize("opinion", ["likes", "dislikes"])
def test_a_like_takes_no_body(api: APIClient, catalogue: CatalogueFactory, opinion: str) -> None:
    [track] = catalogue.tracks(1)
    problem = assert_problem(api.put(f"/users/me/{opinion}/{track.pk}", {"stars": 5}, format="json"), 400)
    assert problem["detail"] == "#: this endpoint takes no body; send the request without one"
    assert not Interaction.objects.exists()


def test_a_like_and_a_dislike_replace_each_other(api: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1)[0].pk
    api.put(f"/users/me/likes/{track}")
    api.put(f"/users/me/dislikes/{track}")
    assert load_preferences(api) == NO_PREFERENCES | {"dislikes": [track]}
    assert api.delete(f"/users/me/likes/{track}").status_code == 204  # the track is not liked, so nothing changes
    assert load_preferences(api) == NO_PREFERENCES | {"dislikes": [track]}
    api.put(f"/users/me/likes/{track}")
    assert load_preferences(api) == NO_PREFERENCES | {"likes": [track]}
    api.put(f"/users/me/dislikes/{track}")
    api.delete(f"/users/me/dislikes/{track}")
    assert load_preferences(api) == NO_PREFERENCES


def test_a_like_may_be_sent_as_an_event(api: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1)[0].pk
    for number, kind in enumerate(("like", "unlike", "like")):
        event = {"event_id": f"00000000-0000-4000-8000-00000000000{number}", "type": kind, "track_id": track}
        api.post("/events", [event | {"occurred_at": f"2026-01-01T10:00:0{number}Z"}], format="json")
        assert load_preferences(api)["likes"] == ([] if kind == "unlike" else [track])


def test_blocks_are_listed_while_they_are_in_force(api: APIClient, alice: User, catalogue: CatalogueFactory) -> None:
    track, artist = catalogue.tracks(1)[0].pk, catalogue.artist.pk
    genre = Tag.objects.create(name="polka", kind="genre").pk
    until = timezone.now() + timedelta(days=30)
    assert api.put(f"/users/me/blocks/artist/{artist}", {"until": until.isoformat()}, format="json").status_code == 204
    assert api.put(f"/users/me/blocks/genre/{genre}").status_code == 204
    assert api.put(f"/users/me/blocks/track/{track}", {}, format="json").status_code == 204
    blocks = {(b["kind"], b["target_id"], b["until"] is not None) for b in load_preferences(api)["blocks"]}
    assert blocks == {("artist", artist, True), ("genre", genre, False), ("track", track, False)}
    assert api.put(f"/users/me/blocks/artist/{artist}", {"until": None}, format="json").status_code == 204
    assert Block.objects.get(kind="artist").until is None
    Block.objects.filter(kind="track").update(until=timezone.now() - timedelta(seconds=1))
    for _ in range(2):
        assert api.delete(f"/users/me/blocks/genre/{genre}").status_code == 204
    assert [b["kind"] for b in load_preferences(api)["blocks"]] == ["artist"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"until": "2001-01-01T00:00:00Z"}, "is in the past"),
        ({"until": "tomorrow"}, "until"),
        ({"untill": "2099-01-01T00:00:00Z"}, "#/untill: unknown field; this body accepts until"),
        ([], "dictionary"),
        (7, "dictionary"),
    ],
)
def test_an_invalid_block_is_a_400_that_names_the_fault(
    api: APIClient, catalogue: CatalogueFactory, body: Any, detail: str
) -> None:
    problem = assert_problem(api.put(f"/users/me/blocks/artist/{catalogue.artist.pk}", body, format="json"), 400)
    assert detail in problem["detail"]
    assert not Block.objects.exists()


@pytest.mark.parametrize(
    "path", ["likes/{}", "dislikes/{}", "blocks/artist/{}", "blocks/album/{}", "blocks/track/{}", "blocks/genre/{}"]
)
@pytest.mark.parametrize("target", [999_999, 10**30])
def test_unknown_targets_cannot_be_liked_or_blocked(api: APIClient, path: str, target: int) -> None:
    assert_problem(api.put(f"/users/me/{path.format(target)}"), 404)


def test_a_mood_cannot_be_blocked_as_a_genre(api: APIClient) -> None:
    assert_problem(api.put(f"/users/me/blocks/genre/{Tag.objects.create(name='calm', kind='mood').pk}"), 404)


def test_a_service_key_sets_the_preferences_of_existing_listeners(
    service: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    track = catalogue.tracks(1)[0].pk
    assert service.put(f"/users/{alice.pk}/likes/{track}").status_code == 204
    assert service.get(f"/users/{alice.pk}/preferences").json()["likes"] == [track]
    for path in (f"likes/{track}", f"blocks/track/{track}"):
        assert_problem(service.put(f"/users/{alice.pk + 99}/{path}"), 404)
        assert_problem(service.put(f"/users/{10**30}/{path}"), 404)
        assert_problem(service.delete(f"/users/{alice.pk + 99}/{path}"), 404)


def test_without_consent_likes_are_refused_and_blocks_are_stored(
    api: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    track = catalogue.tracks(1)[0].pk
    User.objects.filter(pk=alice.pk).update(consent=False)
    for call in (api.put, api.delete):
        assert "consent is off" in assert_problem(call(f"/users/me/likes/{track}"), 409)["detail"]
    assert api.put(f"/users/me/blocks/track/{track}").status_code == 204
    assert not Interaction.objects.exists()


def test_a_like_replaces_a_dislike_from_a_phone_with_a_fast_clock(api: APIClient, catalogue: CatalogueFactory) -> None:
    track = catalogue.tracks(1)[0].pk
    soon = (timezone.now() + timedelta(minutes=4)).isoformat()
    event = {"event_id": "00000000-0000-4000-8000-000000000000", "type": "dislike", "track_id": track}
    api.post("/events", [event | {"occurred_at": soon}], format="json")
    api.put(f"/users/me/likes/{track}")
    assert load_preferences(api) == NO_PREFERENCES | {"likes": [track]}
    api.delete(f"/users/me/likes/{track}")
    assert load_preferences(api) == NO_PREFERENCES
