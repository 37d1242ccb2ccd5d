from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from engine.ensemble import BlendWeights, ComponentConfig, EnsembleConfig
from engine.models.repeat import Repeat
from engine.models.rp3beta import RP3Beta
from importers.records import TagRecord, TrackRecord
from interactions.models import Interaction
from interactions.services import refresh_popular_tracks
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import NOON, CatalogueFactory
from tracks.imports import import_tracks
from tracks.models import Track
from tracks.services import bump_catalogue_revision

FIELDS = {
    *("track_id", "score", "title", "artist_name", "artist_id", "album_id", "duration_ms", "preview_url", "cover_url"),
    *("position", "source", "external_id", "explicit"),
}


@pytest.fixture
def checkerboard(catalogue: CatalogueFactory) -> tuple[list[User], list[Track]]:
    users_and_tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return users_and_tracks


def track_ids(body: dict[str, Any]) -> list[int]:
    return [r["track_id"] for r in body["results"]]


def test_the_missing_square_of_the_checkerboard_comes_first(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    for user, track in zip(*checkerboard, strict=True):
        body = service.get(f"/recommend/user/{user.pk}/ml?limit=5").json()
        assert track_ids(body)[0] == track.pk
        assert (body["strategy"], body["degraded"], body["fallback_reason"]) == ("personal", False, None)


def test_an_answer_has_the_envelope_and_the_fields_of_the_contract(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    body = service.get(f"/recommend/user/{checkerboard[0][0].pk}/ml?limit=3").json()
    assert body.keys() == {
        *("recommendation_id", "strategy", "model_version", "generated_at", "degraded", "fallback_reason", "results"),
        *("policy", "relaxed", "next"),
    }
    assert [r["position"] for r in body["results"]] == [1, 2, 3]
    assert all(r.keys() == FIELDS for r in body["results"])
    assert body["results"][0]["artist_name"] == "The Testers"
    assert body["generated_at"].endswith("Z")


def test_played_tracks_are_excluded_unless_requested(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    user = checkerboard[0][0]
    played = set(Interaction.objects.filter(user=user).values_list("track_id", flat=True))
    assert not played & set(track_ids(service.get(f"/recommend/user/{user.pk}/ml?limit=11").json()))
    assert played & set(track_ids(service.get(f"/recommend/user/{user.pk}/ml?limit=11&exclude_played=false").json()))


def test_the_first_five_interactions_turn_a_popular_slate_into_a_personal_one(
    service: APIClient, alice: User, catalogue: CatalogueFactory, checkerboard: tuple[list[User], list[Track]]
) -> None:
    """Odd and even tracks are equally popular, so a growing share of odd tracks is due to alice's plays."""
    odd = checkerboard[1][1::2]
    path, observed = f"/recommend/user/{alice.pk}/ml?limit=5", []
    for play_count in range(6):
        body = service.get(path).json()
        observed.append((body["strategy"], body["fallback_reason"], len(set(track_ids(body)) & {t.pk for t in odd})))
        catalogue.play(alice, odd[play_count], at=NOON + timedelta(hours=play_count))
    assert [row[:2] for row in observed] == [("popular", "cold_user")] + [("early", "cold_user")] * 4 + [
        ("personal", None)
    ]
    shares = [row[2] for row in observed]
    assert shares[0] < shares[4] == shares[5] == 5
    assert shares == sorted(shares)


def test_a_play_after_training_affects_the_next_answer(
    service: APIClient, catalogue: CatalogueFactory, checkerboard: tuple[list[User], list[Track]]
) -> None:
    users, tracks = checkerboard
    assert track_ids(service.get(f"/recommend/user/{users[0].pk}/ml?limit=1").json()) == [tracks[0].pk]
    catalogue.play(users[0], tracks[0], at=NOON + timedelta(days=1))
    body = service.get(f"/recommend/user/{users[0].pk}/ml?limit=20&exclude_played=true").json()
    assert tracks[0].pk not in track_ids(body)
    assert body["strategy"] == "personal"


def test_a_deleted_play_affects_the_next_answer(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    users, tracks = checkerboard
    Interaction.objects.filter(user=users[0], track=tracks[2]).delete()
    first_two = track_ids(service.get(f"/recommend/user/{users[0].pk}/ml?limit=2").json())
    assert set(first_two) == {tracks[0].pk, tracks[2].pk}


def test_an_unknown_listener_gets_popular_tracks(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    for user_id in ("999999", "9" * 40):
        body = service.get(f"/recommend/user/{user_id}/ml?limit=4").json()
        assert (body["strategy"], len(body["results"])) == ("popular", 4)


def test_the_legacy_endpoint_does_not_use_the_model(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    user = checkerboard[0][0]
    body = service.get(f"/recommend/user/{user.pk}?limit=4").json()
    assert (body["strategy"], body["model_version"], body["degraded"]) == ("popular", None, False)
    assert not set(track_ids(body)) & set(Interaction.objects.filter(user=user).values_list("track_id", flat=True))


def test_similar_tracks_have_the_same_checkerboard_colour(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    tracks = checkerboard[1]
    body = service.get(f"/recommend/similar/{tracks[4].pk}?limit=9").json()
    assert set(track_ids(body)) == {t.pk for t in tracks[::2]} - {tracks[4].pk}
    assert {r["source"] for r in body["results"]} == {"similar"}
    scores = [r["score"] for r in body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= s <= 1.0001 for s in scores)


@pytest.mark.parametrize("kind", ["cf", "content", "hybrid"])
def test_similar_tracks_are_of_the_kind_that_is_asked_for(
    service: APIClient, checkerboard: tuple[list[User], list[Track]], kind: str
) -> None:
    track = checkerboard[1][4]
    body = service.get(f"/recommend/similar/{track.pk}?limit=3&kind={kind}").json()
    assert len(set(track_ids(body)) - {track.pk}) == 3
    if kind == "hybrid":
        assert track_ids(service.get(f"/recommend/similar/{track.pk}?limit=3").json()) == track_ids(body)


def test_an_unknown_kind_of_similar_tracks_is_a_400_that_lists_them(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    response = service.get(f"/recommend/similar/{checkerboard[1][4].pk}?kind=taste")
    error = {"pointer": "?kind", "detail": "must be one of cf, content, hybrid"}
    assert (response.status_code, response.json()["errors"]) == (400, [error])


def test_a_cold_track_falls_back_to_content_and_then_to_popularity(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    folk = (TagRecord("folk", "genre"),)
    import_tracks([TrackRecord(f"x:{n}", f"New {n}", "Newcomer", "x:n", tags=folk) for n in range(3)])
    new = Track.objects.get(external_id="x:0")
    body = service.get(f"/recommend/similar/{new.pk}?limit=6").json()
    # The tracks of one artist are not adjacent.
    assert [r["source"] for r in body["results"]] == ["content", "popular", "content", "popular", "popular", "popular"]
    assert (body["strategy"], body["fallback_reason"], body["degraded"]) == ("content", "cold_track", False)
    assert new.pk not in track_ids(body)


@pytest.mark.parametrize("track_id", ["999999", "9" * 30, "abc"])
def test_similar_tracks_of_an_unknown_track_are_a_404(service: APIClient, track_id: str) -> None:
    assert_problem(service.get(f"/recommend/similar/{track_id}"), 404)


def test_without_a_model_the_answer_is_popular_and_degraded(service: APIClient, catalogue: CatalogueFactory) -> None:
    users, tracks = catalogue.checkerboard()
    body = service.get(f"/recommend/user/{users[0].pk}/ml?limit=4").json()
    assert (body["strategy"], body["model_version"]) == ("popular", None)
    assert (body["degraded"], body["fallback_reason"]) == (True, "no_model")
    body = service.get(f"/recommend/similar/{tracks[0].pk}?limit=4").json()
    assert (body["strategy"], body["degraded"]) == ("content", True)


def test_without_plays_the_answer_is_pseudo_random_and_repeatable(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    catalogue.tracks(30)
    first, again, other = (service.get(f"/recommend/user/{u}/ml").json() for u in (1, 1, 2))
    assert first["strategy"] == "random"
    assert track_ids(first) == track_ids(again) != track_ids(other)
    assert len(track_ids(first)) == 20


def test_the_answer_is_empty_only_while_the_catalogue_is_empty(service: APIClient, catalogue: CatalogueFactory) -> None:
    assert service.get("/recommend/user/1/ml").json()["results"] == []
    catalogue.tracks(1)
    model_cache.refresh_popularity()  # what the watch thread does every few seconds
    assert len(service.get("/recommend/user/1/ml").json()["results"]) == 1


def test_a_listener_who_played_every_track_gets_played_tracks(
    service: APIClient, alice: User, catalogue: CatalogueFactory
) -> None:
    catalogue.play(alice, *catalogue.tracks(6))
    run_training("test")
    body = service.get(f"/recommend/user/{alice.pk}/ml").json()
    assert (len(body["results"]), body["fallback_reason"], body["degraded"]) == (6, "nothing_new", False)


def test_a_track_deleted_since_training_is_replaced(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    users, tracks = checkerboard
    deleted_id = tracks[0].pk
    tracks[0].delete()
    body = service.get(f"/recommend/user/{users[0].pk}/ml?limit=10").json()
    assert len(track_ids(body)) == 10
    assert deleted_id not in track_ids(body)
    similar = service.get(f"/recommend/similar/{tracks[2].pk}?limit=9").json()
    assert len(track_ids(similar)) == 9
    assert deleted_id not in track_ids(similar)


def test_a_version_that_knows_repeats_ranks_own_tracks_by_how_often_and_how_recently_they_were_played(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    users, tracks = catalogue.checkerboard()
    parts = (ComponentConfig(Repeat(), Repeat.default_confidence), ComponentConfig(RP3Beta()))
    run_training("test", force=True, ensemble=EnsembleConfig(parts, BlendWeights((0.9, 0.1), (0.9, 0.1))))
    assert model_cache.current().bundle.algorithm == "repeat+rp3beta"
    # Two plays since the training, a day after the others, count at once.
    catalogue.play(users[0], tracks[6], tracks[6], tracks[8], at=NOON + timedelta(days=1))
    path = f"/recommend/user/{users[0].pk}/ml?limit=2&explain=true"
    own = service.get(f"{path}&exclude_played=false").json()
    assert track_ids(own) == [tracks[6].pk, tracks[8].pk]
    assert own["strategy"] == "personal"
    assert own["results"][0]["explanation"]["kind"] == "repeat"
    assert track_ids(service.get(path).json())[0] == tracks[0].pk  # new tracks, as without the component


@pytest.mark.parametrize("limit", ["0", "101", "-1", "abc", "", "1.5", "9" * 4000, "1e3", "٣x", "\x00"])
@pytest.mark.parametrize("path", ["/recommend/user/1/ml", "/recommend/user/1", "/recommend/similar/{track}"])
def test_an_invalid_limit_is_a_400_that_states_the_range(
    service: APIClient, catalogue: CatalogueFactory, path: str, limit: str
) -> None:
    track = catalogue.tracks(1)[0].pk
    problem = assert_problem(service.get(path.format(track=track), {"limit": limit}), 400)
    assert problem["errors"] == [{"pointer": "?limit", "detail": "must be an integer from 1 to 100"}]


@pytest.mark.parametrize("user_id", ["abc", "-1", "1.5", "٣", "%00"])
def test_an_invalid_listener_id_is_refused(service: APIClient, user_id: str) -> None:
    assert assert_problem(service.get(f"/recommend/user/{user_id}/ml"), 400)["errors"][0]["pointer"] == "{user_id}"


def test_an_unchanged_slate_is_a_304(service: APIClient, catalogue: CatalogueFactory, checkerboard: Any) -> None:
    user = checkerboard[0][0]
    path = f"/recommend/user/{user.pk}/ml?limit=5"
    first = service.get(path)
    again = service.get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", first["ETag"])
    catalogue.play(user, checkerboard[1][0], at=NOON + timedelta(days=1))
    assert service.get(path, HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 200


def test_a_valid_request_id_is_echoed_and_an_invalid_one_replaced(service: APIClient) -> None:
    assert service.get("/tracks/9", HTTP_X_REQUEST_ID="abc-1")["X-Request-ID"] == "abc-1"
    response = service.get("/tracks/9", HTTP_X_REQUEST_ID="two\nlines")
    assert len(response["X-Request-ID"]) == 32
    assert response.json()["request_id"] == response["X-Request-ID"]


def test_a_request_costs_four_queries_at_most(
    as_listener: Callable[[User], APIClient],
    checkerboard: tuple[list[User], list[Track]],
    django_assert_max_num_queries: Any,
) -> None:
    """They read the listener of the token, their blocks, their plays, and the track cards."""
    api = as_listener(checkerboard[0][0])
    api.get("/recommend/user/me/ml")
    with django_assert_max_num_queries(4):
        api.get("/recommend/user/me/ml")


def test_popular_tracks_come_from_the_refreshed_counts(
    service: APIClient, alice: User, bob: User, catalogue: CatalogueFactory
) -> None:
    tracks = catalogue.tracks(3)
    catalogue.play(alice, tracks[1])
    catalogue.play(bob, tracks[1], tracks[2])
    refresh_popular_tracks()
    assert track_ids(service.get("/recommend/user/999").json())[:2] == [tracks[1].pk, tracks[2].pk]


def test_a_version_trained_on_another_catalogue_does_not_lead_to_an_empty_answer(
    service: APIClient, catalogue: CatalogueFactory, checkerboard: tuple[list[User], list[Track]]
) -> None:
    """This happens if the database is replaced but the model folder is not."""
    new = catalogue.tracks(30)
    Track.objects.filter(pk__in=[t.pk for t in checkerboard[1]]).delete()
    bump_catalogue_revision()
    model_cache.refresh_popularity()  # what the watch thread does every few seconds
    for path in (f"/recommend/user/{checkerboard[0][0].pk}/ml", f"/recommend/similar/{new[0].pk}"):
        body = service.get(path, {"limit": 10}).json()
        assert len(body["results"]) == 10
        assert set(track_ids(body)) <= {t.pk for t in new}


def test_deleted_tracks_are_replaced_and_the_answer_stays_personal(
    service: APIClient, catalogue: CatalogueFactory, checkerboard: tuple[list[User], list[Track]]
) -> None:
    """The first track of each of three pages was deleted, which is more than the retries can replace."""
    user = checkerboard[0][0]
    path = f"/recommend/user/{user.pk}/ml?limit=2"
    before = track_ids(service.get(f"/recommend/user/{user.pk}/ml?limit=8").json())
    Track.objects.filter(pk__in=[before[0], before[2], before[3], before[4]]).delete()
    bump_catalogue_revision()
    body = service.get(path).json()
    assert (body["strategy"], len(track_ids(body))) == ("personal", 2)
    assert track_ids(body)[0] == before[1]


@pytest.mark.parametrize("user_id", ["9" * 5000, "0" * 5000, "0" * 39 + "12"])
def test_a_user_id_may_have_any_number_of_digits(service: APIClient, catalogue: CatalogueFactory, user_id: str) -> None:
    catalogue.tracks(1)
    answer = service.get(f"/recommend/user/{user_id}/ml")
    assert (answer.status_code, answer.json()["fallback_reason"]) == (200, "no_model")
