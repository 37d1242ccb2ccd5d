"""What goes on the current session comes first, for its listener and while it lasts, whether it is named or not."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.selectors import SESSION_AGE
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import NOON, CatalogueFactory
from tracks.models import Artist, Track

NEXT = 21
"""The number of the track that listeners play after track 20."""


@pytest.fixture
def tracks(catalogue: CatalogueFactory, alice: User) -> list[Track]:
    """Return tracks of one artist each; odd listeners play track 20 and then track 21, and Alice even ones."""
    users, tracks = catalogue.checkerboard()
    tracks += catalogue.tracks(2)
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(len(tracks)))
    for track, artist in zip(tracks, artists, strict=True):
        track.artist = artist
    Track.objects.bulk_update(tracks, ["artist"])
    for day in range(1, 13):
        for user in users[1::2]:
            CatalogueFactory.play(user, *tracks[20:22], at=NOON + timedelta(days=day))
    CatalogueFactory.play(alice, *tracks[4:20:2])
    CatalogueFactory.play(alice, *tracks[6:20:2], at=NOON + timedelta(days=3))
    run = run_training("test")
    assert run.status == "Published"
    return tracks


def play(user: User, *tracks: Track, minutes_ago: float = 5, **columns: Any) -> None:
    CatalogueFactory.play(user, *tracks, at=timezone.now() - timedelta(minutes=minutes_ago), **columns)


def play_in_session(user: User, track: Track, session_id: str = "kitchen", **columns: Any) -> None:
    """Play a track in a session that counts only if it is named, because the listener has paused since."""
    play(user, track, session_id=session_id, **{"minutes_ago": 60.0} | columns)


def slate(client: APIClient, user: User, session_id: str = "", **parameters: str) -> list[dict[str, Any]]:
    query = {"limit": "5"} | parameters | ({"session_id": session_id} if session_id else {})
    response = client.get(f"/recommend/user/{user.pk}/ml", query)
    assert response.status_code == 200, response.content
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_what_follows_the_tracks_of_the_session_comes_first(
    service: APIClient, as_listener: Callable[[User], APIClient], alice: User, bob: User, tracks: list[Track]
) -> None:
    play_in_session(alice, tracks[20])
    usual = slate(service, alice)
    assert usual[0]["track_id"] in (tracks[0].pk, tracks[2].pk)  # those of her colour that she does not know
    for client in (service, as_listener(alice)):
        [first, *others] = slate(client, alice, "kitchen", explain="true")
        assert (first["track_id"], first["source"]) == (tracks[NEXT].pk, "session")
        assert first["explanation"] == {
            "text": f"Often played after {tracks[20].title}",
            "kind": "session",
            "because_track_ids": [tracks[20].pk],
            "because": [{"track_id": tracks[20].pk, "share": 1.0}],
            "share": None,
        }
        assert tracks[20].pk not in [pick["track_id"] for pick in others]
    assert slate(service, alice, "never heard of") == usual
    play_in_session(bob, tracks[1], "bobs")  # the session of another listener
    assert slate(service, alice, "bobs") == usual


def test_a_session_is_the_listener_s_plays_of_the_last_hours_that_may_teach(
    service: APIClient, alice: User, tracks: list[Track]
) -> None:
    play_in_session(alice, tracks[20], "old", minutes_ago=SESSION_AGE.total_seconds() / 60 + 1)
    play_in_session(alice, tracks[20], "skipped", is_skip=True)
    play_in_session(alice, tracks[20], "private", learn=False, left_out=True)
    play_in_session(alice, tracks[20], "liked", kind="like")
    play_in_session(alice, tracks[20], "shuffled", shuffled=True)
    play_in_session(alice, tracks[20], "imported", plays=3)
    usual = slate(service, alice)
    for session_id in ("old", "skipped", "private", "liked", "shuffled", "imported"):
        assert slate(service, alice, session_id) == usual
    play_in_session(alice, tracks[20], "old")  # it goes on: the next answer counts it
    assert slate(service, alice, "old")[0]["track_id"] == tracks[NEXT].pk


def test_tracks_of_the_session_are_not_offered_where_known_tracks_are(
    service: APIClient, alice: User, tracks: list[Track]
) -> None:
    play_in_session(alice, tracks[4])
    everything = {"exclude_played": "false", "limit": "22"}
    assert tracks[4].pk in [pick["track_id"] for pick in slate(service, alice, **everything)]
    for parameters in (everything, {"familiarity": "1", "limit": "5"}):
        assert tracks[4].pk not in [pick["track_id"] for pick in slate(service, alice, "kitchen", **parameters)]


def test_the_pages_of_a_slate_and_the_shelves_of_a_batch_count_the_session(
    service: APIClient, alice: User, tracks: list[Track]
) -> None:
    play_in_session(alice, tracks[20])
    answer = service.get(f"/recommend/user/{alice.pk}/ml?limit=1&session_id=kitchen").json()
    assert [pick["track_id"] for pick in answer["results"]] == [tracks[NEXT].pk]
    slate_log.flush()
    assert Slate.objects.get(pk=answer["recommendation_id"]).request["session_id"] == "kitchen"
    page = service.get(answer["next"]).json()
    assert page["results"][0]["track_id"] not in (tracks[NEXT].pk, tracks[20].pk)

    body = {"session_id": "kitchen", "limit": 1, "users": [alice.pk]}
    [batch] = service.post("/recommend/batch", body, format="json").json()["answers"]
    assert batch["results"][0]["track_id"] == tracks[NEXT].pk
    shelves = [{"name": "hits", "kind": "popular", "limit": 1}, {"name": "next", "kind": "personal", "limit": 3}]
    body = {"session_id": "kitchen", "user_id": alice.pk, "shelves": shelves}
    hits, following = service.post("/recommend/batch", body, format="json").json()["shelves"]
    assert hits["results"][0]["source"] == "popular"
    offered = [pick["track_id"] for shelf in (hits, following) for pick in shelf["results"]]
    assert tracks[NEXT].pk in offered


def test_without_consent_a_session_does_not_count(service: APIClient, alice: User, tracks: list[Track]) -> None:
    play_in_session(alice, tracks[20])
    User.objects.filter(pk=alice.pk).update(consent=False)
    answer = service.get(f"/recommend/user/{alice.pk}/ml?limit=3&session_id=kitchen").json()
    assert (answer["policy"], answer["fallback_reason"]) == ("popular", "no_consent")
    slate_log.flush()
    assert "session_id" not in Slate.objects.get(pk=answer["recommendation_id"]).request


def test_a_name_that_is_too_long_is_refused(service: APIClient, alice: User) -> None:
    refused = assert_problem(service.get(f"/recommend/user/{alice.pk}/ml?session_id={'x' * 65}"), 400)
    assert [error["pointer"] for error in refused["errors"]] == ["?session_id"]
    assert_problem(service.get(f"/recommend/user/{alice.pk}?session_id=kitchen"), 400)  # unknown there


def test_the_plays_of_the_last_minutes_are_a_session_without_a_name(
    service: APIClient, as_listener: Callable[[User], APIClient], alice: User, bob: User, tracks: list[Track]
) -> None:
    usual = slate(service, alice)
    play(bob, tracks[20])
    assert slate(service, alice) == usual
    play(alice, tracks[20])
    for client in (service, as_listener(alice)):
        [first, *others] = slate(client, alice, explain="true")
        assert (first["track_id"], first["source"]) == (tracks[NEXT].pk, "session")
        assert first["explanation"]["text"] == f"Often played after {tracks[20].title}"
        assert tracks[20].pk not in [pick["track_id"] for pick in others]
    batch = service.post("/recommend/batch", {"limit": 1, "users": [alice.pk]}, format="json").json()["answers"]
    assert [answer["results"][0]["track_id"] for answer in batch] == [tracks[NEXT].pk]
    shelves = [{"name": "next", "kind": "personal", "limit": 1}]
    body = {"user_id": alice.pk, "shelves": shelves}
    [shelf] = service.post("/recommend/batch", body, format="json").json()["shelves"]
    assert shelf["results"][0]["track_id"] == tracks[NEXT].pk


def test_a_session_that_is_named_is_not_mixed_with_other_plays(
    service: APIClient, alice: User, tracks: list[Track]
) -> None:
    play_in_session(alice, tracks[4])
    play(alice, tracks[20])
    assert tracks[NEXT].pk not in [pick["track_id"] for pick in slate(service, alice, "kitchen", limit="1")]


@pytest.mark.parametrize(
    "columns",
    [
        {"minutes_ago": 31},
        {"is_skip": True},
        {"learn": False},
        {"kind": "like"},
        {"shuffled": True},
        {"plays": 3},
    ],
    ids=lambda columns: str(columns),
)
def test_plays_that_are_over_or_say_nothing_about_what_follows_are_no_session(
    service: APIClient, alice: User, tracks: list[Track], columns: dict[str, Any]
) -> None:
    play(alice, tracks[20], **columns)
    assert [pick["source"] for pick in slate(service, alice)].count("session") == 0


def test_an_excluded_play_is_no_session(service: APIClient, alice: User, tracks: list[Track]) -> None:
    play(alice, tracks[20])
    assert slate(service, alice)[0]["source"] == "session"
    body = {"exclusions": [{"kind": "track", "track_id": tracks[20].pk}]}
    assert service.post(f"/users/{alice.pk}/taste/exclusions", body, format="json").status_code == 201
    assert "session" not in [pick["source"] for pick in slate(service, alice)]


def test_an_answer_is_not_reused_after_the_session_has_ended(
    service: APIClient, alice: User, tracks: list[Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(alice, tracks[20])
    assert slate(service, alice)[0]["source"] == "session"
    with CaptureQueriesContext(connection) as queries:
        assert slate(service, alice)[0]["source"] == "session"
    assert len(queries) == 1  # it is reused while the session lasts

    now, seconds = timezone.now(), time.time()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(minutes=26))
    monkeypatch.setattr(time, "time", lambda: seconds + 26 * 60)
    with CaptureQueriesContext(connection) as queries:
        later = slate(service, alice)
    assert [pick["source"] for pick in later].count("session") == 0
    assert len(queries) <= 2  # the history came with the context


def test_what_only_personal_answers_count_leaves_other_answers_in_the_cache(
    service: APIClient, alice: User, tracks: list[Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    play(alice, tracks[20])
    path = f"/recommend/similar/{tracks[4].pk}?user_id={alice.pk}"
    first = service.get(path).json()
    later = timezone.now() + timedelta(minutes=26)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert service.get(path).json() == first


def test_a_listener_without_consent_has_no_session(service: APIClient, alice: User, tracks: list[Track]) -> None:
    play(alice, tracks[20])
    User.objects.filter(pk=alice.pk).update(consent=False)
    answer = service.get(f"/recommend/user/{alice.pk}/ml?limit=3").json()
    assert (answer["policy"], answer["fallback_reason"]) == ("popular", "no_consent")
