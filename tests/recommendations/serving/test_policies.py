"""Requests are answered by the versions in use, and by their own dials."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from engine.pipeline import POLICIES
from engine.policy import NO_CAPS, Dials
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.models import Interaction
from recommendations.policies.services import save_policy, use_policy
from recommendations.serving.model_cache import model_cache
from recommendations.serving.recommend import assign_policy
from recommendations.serving.request_context import RecommendationRequest, load_contexts
from recommendations.serving.slate import plan_slate
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.models import Artist, Track
from tracks.services import bump_catalogue_revision

LIVELY = replace(POLICIES["personal"], sources={"popular": 1.0}, dials=Dials(familiarity=0.3, diversity=0.2))


@pytest.fixture
def checkerboard(catalogue: CatalogueFactory) -> tuple[list[User], list[Track]]:
    users_and_tracks = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return users_and_tracks


def planned_dials(user: User, **options: Any) -> Dials:
    request = RecommendationRequest("personal", 5, user.pk, **options)
    context = load_contexts([user.pk])[user.pk]
    return plan_slate(request, context, model_cache.current(), assign_policy(request, context)).policy.dials


def test_the_version_in_use_answers_from_the_next_request_on(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    path = f"/recommend/user/{checkerboard[0][0].pk}/ml?limit=5"
    built_in = service.get(path).json()
    assert (built_in["policy"], built_in["strategy"]) == ("personal", "personal")
    # All tracks are of one artist, so that caps leave no position to those that the listener knows.
    assert set(built_in["relaxed"]) == {"artist_cap", "artist_gap", "familiarity"}
    save_policy(LIVELY)
    assert service.get(path).json() == built_in  # saved, but not in use: the cached answer
    use_policy("personal", 1)
    edited = service.get(path).json()
    assert (edited["policy"], edited["strategy"]) == ("personal@1", "popular")
    assert service.get(path).json() == edited
    use_policy("personal", 0)
    returned = service.get(path).json()
    assert (returned["policy"], returned["results"]) == ("personal", built_in["results"])


def test_every_kind_of_request_names_its_policy(
    service: APIClient, alice: User, bob: User, checkerboard: tuple[list[User], list[Track]]
) -> None:
    users, tracks = checkerboard
    CatalogueFactory.play(alice, tracks[0])
    for name in ("early", "popular", "similar"):
        save_policy(replace(POLICIES[name], candidates=50))
        use_policy(name, 1)
    paths = {
        f"/recommend/user/{users[0].pk}/ml": "personal",
        f"/recommend/user/{alice.pk}/ml": "early@1",
        f"/recommend/user/{bob.pk}/ml": "popular@1",
        f"/recommend/user/{alice.pk}": "popular@1",
        f"/recommend/similar/{tracks[0].pk}": "similar@1",
    }
    assert {path: service.get(path).json()["policy"] for path in paths} == paths
    shelves = [{"name": "a", "kind": "personal"}, {"name": "b", "kind": "popular"}]
    body = service.post("/recommend/batch", {"user_id": alice.pk, "shelves": shelves}, format="json").json()
    assert [shelf["policy"] for shelf in body["shelves"]] == ["early@1", "popular@1"]
    body = service.post("/recommend/batch", {"users": [alice.pk, users[0].pk]}, format="json").json()
    assert [answer["policy"] for answer in body["answers"]] == ["early@1", "personal"]


def test_a_cold_listener_s_cached_answer_ends_with_its_policy(
    service: APIClient, alice: User, checkerboard: tuple[list[User], list[Track]]
) -> None:
    """Which policy answers depends on the history, which a cached answer does not read."""
    CatalogueFactory.play(alice, checkerboard[1][0])
    path = f"/recommend/user/{alice.pk}/ml"
    assert service.get(path).json()["policy"] == "early"
    save_policy(replace(POLICIES["early"], sources={"popular": 1.0}))
    use_policy("early", 1)
    answer = service.get(path).json()
    assert (answer["policy"], answer["strategy"], answer["fallback_reason"]) == ("early@1", "popular", "cold_user")


def test_slates_are_stored_with_their_policy(service: APIClient, checkerboard: tuple[list[User], list[Track]]) -> None:
    user = checkerboard[0][0]
    service.get(f"/recommend/user/{user.pk}/ml?limit=2")
    save_policy(LIVELY)
    use_policy("personal", 1)
    service.get(f"/recommend/user/{user.pk}/ml?limit=2&diversity=0.9")
    slate_log.flush()
    assert list(Slate.objects.order_by("shown_at").values_list("policy", flat=True)) == ["personal", "personal@1"]


def test_the_dials_of_a_request_take_the_place_of_the_policy_s(
    checkerboard: tuple[list[User], list[Track]],
) -> None:
    user = checkerboard[0][0]
    save_policy(LIVELY)
    use_policy("personal", 1)
    assert planned_dials(user) == LIVELY.dials
    assert planned_dials(user, diversity=0.9) == replace(LIVELY.dials, diversity=0.9)
    assert planned_dials(user, familiarity=1.0) == replace(LIVELY.dials, familiarity=1.0)
    assert planned_dials(user, familiarity=0.0, diversity=0.0) == Dials()
    assert planned_dials(user, exclude_played=True) == replace(LIVELY.dials, familiarity=0.0)
    assert planned_dials(user, exclude_played=False) == replace(LIVELY.dials, familiarity=0.0)


def test_diversity_that_a_request_names_acts_from_the_first_position(service: APIClient, checkerboard: Any) -> None:
    save_policy(replace(LIVELY, caps=NO_CAPS))  # all tracks are of one artist
    use_policy("personal", 1)
    path = f"/recommend/user/{checkerboard[0][0].pk}/ml?limit=8&exclude_played=false"
    usual, alike, varied = (
        [result["track_id"] for result in service.get(f"{path}{option}").json()["results"]]
        for option in ("", "&diversity=0", "&diversity=1")
    )
    assert usual == alike
    assert varied[0] == usual[0]
    assert varied != usual


def test_familiarity_is_the_share_of_tracks_that_the_listener_knows(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    user = checkerboard[0][0]
    save_policy(replace(POLICIES["personal"], caps=NO_CAPS))  # all tracks are of one artist
    use_policy("personal", 1)
    played = set(Interaction.objects.filter(user=user).values_list("track_id", flat=True))
    for familiarity, known in (("0", 0), ("0.4", 2), ("1", 5)):
        body = service.get(f"/recommend/user/{user.pk}/ml?limit=5&familiarity={familiarity}").json()
        sources = [result["source"] for result in body["results"] if result["track_id"] in played]
        assert (familiarity, sources) == (familiarity, ["repeat"] * known)
        assert (len(body["results"]), body["fallback_reason"]) == (5, None)


@pytest.fixture
def many_artists(catalogue: CatalogueFactory) -> User:
    """Return a listener of nine of twenty tracks, each by an artist of its own."""
    users, tracks = catalogue.checkerboard()
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {track.pk}") for track in tracks)
    for track, artist in zip(tracks, artists, strict=True):
        Track.objects.filter(pk=track.pk).update(artist=artist)
    assert run_training("test").status == "Published"
    return users[0]


def test_by_default_every_fifth_track_is_one_that_the_listener_has_not_just_played(
    service: APIClient, many_artists: User, catalogue: CatalogueFactory
) -> None:
    played = set(many_artists.interactions.values_list("track_id", flat=True))
    path = f"/recommend/user/{many_artists.pk}/ml?limit=10&explain=true"

    def known_results(option: str = "") -> list[tuple[int, str, str]]:
        body = service.get(path + option).json()
        assert (body["strategy"], body["fallback_reason"], body["relaxed"]) == ("personal", None, [])
        return [
            (result["position"], result["source"], result["explanation"]["kind"])
            for result in body["results"]
            if result["track_id"] in played
        ]

    assert known_results() == [(5, "repeat", "repeat"), (10, "repeat", "repeat")]
    assert known_results("&familiarity=0") == known_results("&exclude_played=true") == []
    catalogue.play(many_artists, *Track.objects.filter(pk__in=played), at=timezone.now() - timedelta(hours=11))
    assert known_results() == []


def test_tracks_to_repeat_do_not_hide_that_the_model_has_no_new_ones(
    service: APIClient, many_artists: User, catalogue: CatalogueFactory
) -> None:
    catalogue.play(many_artists, *Track.objects.all())
    for artist in Artist.objects.bulk_create(Artist(name=f"Newcomer {n}") for n in range(12)):
        catalogue.tracks(1, artist=artist)
    bump_catalogue_revision()
    body = service.get(f"/recommend/user/{many_artists.pk}/ml?limit=5").json()
    assert [result["source"] for result in body["results"]] == ["random"] * 4 + ["repeat"]
    assert body["fallback_reason"] == "no_known_tracks"


def test_dials_of_a_batch_shape_personal_shelves_only(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    user = checkerboard[0][0]
    save_policy(replace(POLICIES["personal"], caps=NO_CAPS))  # all tracks are of one artist
    use_policy("personal", 1)
    played = set(Interaction.objects.filter(user=user).values_list("track_id", flat=True))
    shelves = [{"name": kind, "kind": kind, "limit": 2} for kind in ("popular", "personal")]
    body = {"user_id": user.pk, "familiarity": 1, "shelves": shelves}
    answers = service.post("/recommend/batch", body, format="json").json()["shelves"]
    known = [sum(result["track_id"] in played for result in answer["results"]) for answer in answers]
    assert known == [0, 2]


def test_answers_with_other_dials_are_other_answers(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    path = f"/recommend/user/{checkerboard[0][0].pk}/ml?limit=5"
    queries = ["", "&diversity=0.5", "&familiarity=1", "", "&diversity=0.50", "&familiarity=1.0"]
    ids = [service.get(path + query).json()["recommendation_id"] for query in queries]
    assert len(set(ids)) == 3
    assert ids[3:] == ids[:3]


@pytest.mark.parametrize("name", ["familiarity", "diversity"])
@pytest.mark.parametrize("value", ["-0.1", "1.01", "nan", "inf", "-inf", "much", "", "1" * 2000])
def test_a_dial_out_of_range_is_refused(service: APIClient, alice: User, name: str, value: str) -> None:
    body = assert_problem(service.get(f"/recommend/user/{alice.pk}/ml?{name}={value}"), 400)
    assert body["errors"] == [{"pointer": f"?{name}", "detail": "must be a number from 0 to 1"}]


@pytest.mark.parametrize("value", [-1, 1.5, []])
def test_a_dial_out_of_range_in_a_batch_is_refused(service: APIClient, alice: User, value: Any) -> None:
    body = {"users": [alice.pk], "diversity": value}
    problem = assert_problem(service.post("/recommend/batch", body, format="json"), 400)
    assert problem["errors"] == [{"pointer": "#/diversity", "detail": "must be a number from 0 to 1"}]


@pytest.mark.parametrize("value", [True, False, "0.5", "1", "much"])
def test_a_dial_in_a_batch_is_a_json_number(service: APIClient, alice: User, value: Any) -> None:
    problem = assert_problem(service.post("/recommend/batch", {"users": [alice.pk], "diversity": value}, "json"), 400)
    detail = "must be a number from 0 to 1; write it as 0.5, without quotes, and not as true or false"
    assert problem["errors"] == [{"pointer": "#/diversity", "detail": detail}]
    slate_log.flush()
    assert not Slate.objects.exists()


def test_familiarity_and_exclude_played_exclude_each_other(service: APIClient, alice: User) -> None:
    body = assert_problem(service.get(f"/recommend/user/{alice.pk}/ml?familiarity=0.5&exclude_played=true"), 400)
    assert [error["pointer"] for error in body["errors"]] == ["?familiarity"]
    assert "send one of the two" in body["errors"][0]["detail"]
    body = {"users": [alice.pk], "familiarity": 0.5, "exclude_played": False}
    assert_problem(service.post("/recommend/batch", body, format="json"), 400)


@pytest.mark.parametrize("path", ["/recommend/user/1", "/recommend/similar/1"])
def test_only_personal_slates_have_dials(service: APIClient, path: str) -> None:
    body = assert_problem(service.get(f"{path}?diversity=0.5"), 400)
    assert body["errors"][0]["pointer"] == "?diversity"
    assert body["errors"][0]["detail"].startswith("unknown parameter")


def test_a_batch_is_answered_by_its_dials(service: APIClient, checkerboard: tuple[list[User], list[Track]]) -> None:
    user = checkerboard[0][0]
    alone = service.get(f"/recommend/user/{user.pk}/ml?limit=4&diversity=0.5").json()
    body = {"users": [user.pk], "limit": 4, "diversity": 0.5}
    (answer,) = service.post("/recommend/batch", body, format="json").json()["answers"]
    assert answer == {"user_id": user.pk} | alone


def test_a_page_has_the_dials_of_the_first_one_and_the_policy_of_its_own_time(
    service: APIClient, checkerboard: tuple[list[User], list[Track]]
) -> None:
    user = checkerboard[0][0]
    first = service.get(f"/recommend/user/{user.pk}/ml?limit=3&diversity=0.5&familiarity=0").json()
    slate_log.flush()
    assert Slate.objects.get().request == {"kind": "personal", "limit": 3, "diversity": 0.5, "familiarity": 0.0}
    save_policy(LIVELY)
    use_policy("personal", 1)
    second = service.get(first["next"]).json()
    assert (first["policy"], second["policy"]) == ("personal", "personal@1")
    shown = [result["track_id"] for page in (first, second) for result in page["results"]]
    assert len(set(shown)) == 6
    slate_log.flush()
    assert Slate.objects.get(pk=second["recommendation_id"]).request["diversity"] == 0.5


def test_the_context_of_a_listener_with_policies_takes_no_further_query(
    as_listener: Callable[[User], APIClient],
    checkerboard: tuple[list[User], list[Track]],
    django_assert_max_num_queries: Any,
) -> None:
    save_policy(LIVELY)
    use_policy("personal", 1)
    api = as_listener(checkerboard[0][0])
    api.get("/recommend/user/me/ml")
    with django_assert_max_num_queries(1):
        api.get("/recommend/user/me/ml")
