from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from importers.records import TagRecord, TrackRecord
from interactions.models import Interaction
from interactions.services import refresh_popular_tracks
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import NOON, CatalogueFactory
from tracks.models import Track
from tracks.services import bump_catalogue_revision, upsert_tracks

FIELDS = {
    *("track_id", "score", "title", "artist_name", "artist_id", "album_id", "duration_ms", "preview_url", "cover_url"),
    *("position", "source", "external_id", "explicit"),
}


@pytest.fixture
def world(catalogue: CatalogueFactory) -> tuple[list[User], list[Track]]:
    users_and_tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return users_and_tracks


def ids(body: dict[str, Any]) -> list[int]:
    return [r["track_id"] for r in body["results"]]


def test_the_missing_square_comes_first_for_everybody(
    service: APIClient, world: tuple[list[User], list[Track]]
) -> None:
    for user, track in zip(*world, strict=True):
        body = service.get(f"/recommend/user/{user.pk}/ml?limit=5").json()
        assert ids(body)[0] == track.pk
        assert (body["strategy"], body["degraded"], body["fallback_reason"]) == ("personal", False, None)


def test_an_answer_has_the_envelope_and_the_fields_of_the_contract(
    service: APIClient, world: tuple[list[User], list[Track]]
) -> None:
    body = service.get(f"/recommend/user/{world[0][0].pk}/ml?limit=3").json()
    assert body.keys() == {
        *("recommendation_id", "strategy", "model_version", "generated_at", "degraded", "fallback_reason", "results")
    }
    assert [r["position"] for r in body["results"]] == [1, 2, 3]
    assert all(r.keys() == FIELDS for r in body["results"])
    assert body["results"][0]["artist_name"] == "The Testers"
    assert body["generated_at"].endswith("Z")


def test_played_tracks_are_left_out_unless_wanted(service: APIClient, world: tuple[list[User], list[Track]]) -> None:
    user = world[0][0]
    played = set(Interaction.objects.filter(user=user).values_list("track_id", flat=True))
    assert not played & set(ids(service.get(f"/recommend/user/{user.pk}/ml?limit=11").json()))
    assert played & set(ids(service.get(f"/recommend/user/{user.pk}/ml?limit=11&exclude_played=false").json()))


def test_the_first_interactions_lead_from_what_is_popular_to_what_is_personal(
    service: APIClient, alice: User, catalogue: CatalogueFactory, world: tuple[list[User], list[Track]]
) -> None:
    """Odd tracks and even ones are as popular: that more and more of the page is odd is alice's doing."""
    odd = world[1][1::2]
    path, found = f"/recommend/user/{alice.pk}/ml?limit=5", []
    for heard in range(6):
        body = service.get(path).json()
        found.append((body["strategy"], body["fallback_reason"], len(set(ids(body)) & {t.pk for t in odd})))
        catalogue.play(alice, odd[heard], at=NOON + timedelta(hours=heard))
    assert [f[:2] for f in found] == [("popular", "cold_user")] + [("early", "cold_user")] * 4 + [("personal", None)]
    shares = [f[2] for f in found]
    assert shares[0] < shares[4] == shares[5] == 5
    assert shares == sorted(shares)


def test_a_play_after_training_counts_at_once(
    service: APIClient, catalogue: CatalogueFactory, world: tuple[list[User], list[Track]]
) -> None:
    users, tracks = world
    assert ids(service.get(f"/recommend/user/{users[0].pk}/ml?limit=1").json()) == [tracks[0].pk]
    catalogue.play(users[0], tracks[0], at=NOON + timedelta(days=1))
    body = service.get(f"/recommend/user/{users[0].pk}/ml?limit=20").json()
    assert tracks[0].pk not in ids(body)
    assert body["strategy"] == "personal"


def test_a_deleted_play_counts_at_once_too(service: APIClient, world: tuple[list[User], list[Track]]) -> None:
    users, tracks = world
    Interaction.objects.filter(user=users[0], track=tracks[2]).delete()
    first_two = ids(service.get(f"/recommend/user/{users[0].pk}/ml?limit=2").json())
    assert set(first_two) == {tracks[0].pk, tracks[2].pk}


def test_an_unknown_listener_gets_what_is_popular(service: APIClient, world: tuple[list[User], list[Track]]) -> None:
    for user_id in ("999999", "9" * 40):
        body = service.get(f"/recommend/user/{user_id}/ml?limit=4").json()
        assert (body["strategy"], len(body["results"])) == ("popular", 4)


def test_legacy_never_uses_the_model(service: APIClient, world: tuple[list[User], list[Track]]) -> None:
    user = world[0][0]
    body = service.get(f"/recommend/user/{user.pk}?limit=4").json()
    assert (body["strategy"], body["model_version"], body["degraded"]) == ("popular", None, False)
    assert not set(ids(body)) & set(Interaction.objects.filter(user=user).values_list("track_id", flat=True))


def test_similar_tracks_are_of_the_same_colour(service: APIClient, world: tuple[list[User], list[Track]]) -> None:
    tracks = world[1]
    body = service.get(f"/recommend/similar/{tracks[4].pk}?limit=9").json()
    assert set(ids(body)) == {t.pk for t in tracks[::2]} - {tracks[4].pk}
    assert {r["source"] for r in body["results"]} == {"similar"}
    scores = [r["score"] for r in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= s <= 1.0001 for s in scores)


def test_a_cold_track_falls_back_to_content_and_then_to_popularity(
    service: APIClient, world: tuple[list[User], list[Track]]
) -> None:
    folk = (TagRecord("folk", "genre"),)
    upsert_tracks([TrackRecord(f"x:{n}", f"New {n}", "Newcomer", "x:n", tags=folk) for n in range(3)])
    new = Track.objects.get(external_id="x:0")
    body = service.get(f"/recommend/similar/{new.pk}?limit=6").json()
    assert [r["source"] for r in body["results"]] == ["content"] * 2 + ["popular"] * 4
    assert (body["strategy"], body["fallback_reason"], body["degraded"]) == ("content", "cold_track", False)
    assert new.pk not in ids(body)


@pytest.mark.parametrize("track_id", ["999999", "9" * 30, "abc"])
def test_an_unknown_track_has_no_similar_ones(service: APIClient, track_id: str) -> None:
    assert_problem(service.get(f"/recommend/similar/{track_id}"), 404)


def test_without_a_model_it_is_popular_and_says_degraded(service: APIClient, catalogue: CatalogueFactory) -> None:
    users, tracks = catalogue.checkerboard()
    body = service.get(f"/recommend/user/{users[0].pk}/ml?limit=4").json()
    assert (body["strategy"], body["model_version"]) == ("popular", None)
    assert (body["degraded"], body["fallback_reason"]) == (True, "no_model")
    body = service.get(f"/recommend/similar/{tracks[0].pk}?limit=4").json()
    assert (body["strategy"], body["degraded"]) == ("content", True)


def test_without_plays_it_is_pseudo_random_and_the_same_twice(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.tracks(30)
    first, again, other = (service.get(f"/recommend/user/{u}/ml").json() for u in (1, 1, 2))
    assert first["strategy"] == "random"
    assert ids(first) == ids(again) != ids(other)
    assert len(ids(first)) == 20


def test_an_empty_catalogue_is_an_empty_page_and_the_first_track_fills_it(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    assert service.get("/recommend/user/1/ml").json()["results"] == []
    catalogue.tracks(1)
    model_cache.refresh_popularity()  # what the watch thread does every few seconds
    assert len(service.get("/recommend/user/1/ml").json()["results"]) == 1


def test_who_played_everything_hears_it_again(service: APIClient, alice: User, catalogue: CatalogueFactory) -> None:
    catalogue.play(alice, *catalogue.tracks(6))
    run_training("test")
    body = service.get(f"/recommend/user/{alice.pk}/ml").json()
    assert (len(body["results"]), body["fallback_reason"], body["degraded"]) == (6, "nothing_new", False)


def test_a_track_deleted_since_training_is_replaced(service: APIClient, world: tuple[list[User], list[Track]]) -> None:
    users, tracks = world
    gone = tracks[0].pk
    tracks[0].delete()
    body = service.get(f"/recommend/user/{users[0].pk}/ml?limit=10").json()
    assert len(ids(body)) == 10
    assert gone not in ids(body)
    similar = service.get(f"/recommend/similar/{tracks[2].pk}?limit=9").json()
    assert len(ids(similar)) == 9
    assert gone not in ids(similar)


def test_every_pick_is_explained_on_request(service: APIClient, world: tuple[list[User], list[Track]]) -> None:
    users, tracks = world
    first = service.get(f"/recommend/user/{users[0].pk}/ml?limit=1&explain=true").json()["results"][0]["explanation"]
    assert len(first["because_track_ids"]) == 2
    assert set(first["because_track_ids"]) <= {t.pk for t in tracks[2::2]}
    assert first["text"].startswith("Because you played Song ")
    popular = service.get("/recommend/user/999/ml?limit=1&explain=true").json()["results"][0]["explanation"]
    assert popular == {"text": "Popular with 9 listeners", "because_track_ids": []}


@pytest.mark.parametrize("limit", ["0", "101", "-1", "abc", "", "1.5", "9" * 5000, "1e3", "٣x", "\x00"])
@pytest.mark.parametrize("path", ["/recommend/user/1/ml", "/recommend/user/1", "/recommend/similar/{track}"])
def test_a_limit_out_of_range_says_the_range(
    service: APIClient, catalogue: CatalogueFactory, path: str, limit: str
) -> None:
    track = catalogue.tracks(1)[0].pk
    problem = assert_problem(service.get(path.format(track=track), {"limit": limit}), 400)
    assert problem["errors"] == [{"pointer": "?limit", "detail": "must be an integer from 1 to 100"}]


@pytest.mark.parametrize("user_id", ["abc", "-1", "1.5", "٣", "%00"])
def test_a_listener_id_that_is_none_is_refused(service: APIClient, user_id: str) -> None:
    assert assert_problem(service.get(f"/recommend/user/{user_id}/ml"), 400)["errors"][0]["pointer"] == "{user_id}"


def test_the_same_slate_is_a_304(service: APIClient, catalogue: CatalogueFactory, world: Any) -> None:
    user = world[0][0]
    path = f"/recommend/user/{user.pk}/ml?limit=5"
    first = service.get(path)
    again = service.get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    catalogue.play(user, world[1][0], at=NOON + timedelta(days=1))
    assert service.get(path, HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 200


def test_the_request_id_is_echoed_where_it_is_sane(service: APIClient) -> None:
    assert service.get("/tracks/9", HTTP_X_REQUEST_ID="abc-1")["X-Request-ID"] == "abc-1"
    response = service.get("/tracks/9", HTTP_X_REQUEST_ID="two\nlines")
    assert len(response["X-Request-ID"]) == 32
    assert response.json()["request_id"] == response["X-Request-ID"]


def test_a_request_costs_four_queries(
    as_listener: Callable[[User], APIClient], world: tuple[list[User], list[Track]], django_assert_max_num_queries: Any
) -> None:
    """The listener of the token, what they block, their plays, the cards."""
    api = as_listener(world[0][0])
    api.get("/recommend/user/me/ml")
    with django_assert_max_num_queries(4):
        api.get("/recommend/user/me/ml")


def test_popularity_follows_the_projection(
    service: APIClient, alice: User, bob: User, catalogue: CatalogueFactory
) -> None:
    tracks = catalogue.tracks(3)
    catalogue.play(alice, tracks[1])
    catalogue.play(bob, tracks[1], tracks[2])
    refresh_popular_tracks()
    assert ids(service.get("/recommend/user/999").json())[:2] == [tracks[1].pk, tracks[2].pk]


def test_a_version_of_another_catalogue_never_gives_an_empty_page(
    service: APIClient, catalogue: CatalogueFactory, world: tuple[list[User], list[Track]]
) -> None:
    """The database was replaced, the model folder was not."""
    new = catalogue.tracks(30)
    Track.objects.filter(pk__in=[t.pk for t in world[1]]).delete()
    bump_catalogue_revision()
    model_cache.refresh_popularity()  # what the watch thread does every few seconds
    for path in (f"/recommend/user/{world[0][0].pk}/ml", f"/recommend/similar/{new[0].pk}"):
        body = service.get(path, {"limit": 10}).json()
        assert len(body["results"]) == 10
        assert set(ids(body)) <= {t.pk for t in new}


def test_a_few_deleted_tracks_cost_nothing_but_themselves(
    service: APIClient, catalogue: CatalogueFactory, world: tuple[list[User], list[Track]]
) -> None:
    """One at the top of each of three pages, more than the retries can replace."""
    user = world[0][0]
    path = f"/recommend/user/{user.pk}/ml?limit=2"
    before = ids(service.get(f"/recommend/user/{user.pk}/ml?limit=8").json())
    Track.objects.filter(pk__in=[before[0], before[2], before[3], before[4]]).delete()
    bump_catalogue_revision()
    body = service.get(path).json()
    assert (body["strategy"], len(ids(body))) == ("personal", 2)
    assert ids(body)[0] == before[1]


@pytest.mark.parametrize("named", ["9" * 5000, "0" * 5000, "0" * 39 + "12"])
def test_a_number_of_any_length_is_nobody_or_somebody(
    service: APIClient, catalogue: CatalogueFactory, named: str
) -> None:
    catalogue.tracks(1)
    answer = service.get(f"/recommend/user/{named}/ml")
    assert (answer.status_code, answer.json()["fallback_reason"]) == (200, "no_model")
