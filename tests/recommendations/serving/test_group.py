"""One list for several listeners over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.models import SliderKind
from interactions.taste.services import set_slider
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import CatalogueFactory, store_interaction
from tracks.models import Tag, Track, TrackTag
from tracks.services import bump_catalogue_revision


@pytest.fixture
def listeners(catalogue: CatalogueFactory) -> list[User]:
    """Return listeners of a version in service; those with an even number like even tracks, the others odd ones."""
    users, _ = catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return users


def ask(client: APIClient, *listeners: Any, **body: Any) -> Any:
    named = [listener.pk if isinstance(listener, User) else listener for listener in listeners]
    return client.post("/recommend/group", {"listeners": named} | body, format="json")


def parities(answer: dict[str, Any]) -> list[int]:
    first = Track.objects.earliest("pk").pk
    return [(result["track_id"] - first) % 2 for result in answer["results"] if result["source"] == "group"]


def test_the_answer_is_a_slate_for_all_that_names_each_listener(listeners: list[User], service: APIClient) -> None:
    User.objects.filter(pk=listeners[2].pk).update(external_id="x:carol")
    response = ask(service, listeners[0], "external:x:carol", 999_999, "external:nobody", limit=5)
    answer = response.json()
    own = service.get(f"/recommend/user/{listeners[0].pk}/ml?limit=5").json()
    assert answer.keys() == own.keys() | {"aggregation", "listeners"}
    assert answer["results"][0].keys() == own["results"][0].keys()
    expected = {"strategy": "group", "aggregation": "average", "policy": own["policy"], "next": None}
    expected |= {"model_version": own["model_version"], "fallback_reason": None, "degraded": False}
    assert {name: answer[name] for name in expected} == expected
    assert answer["listeners"] == [
        {"user_id": listeners[0].pk, "fallback_reason": None},
        {"user_id": listeners[2].pk, "external_id": "x:carol", "fallback_reason": None},
        {"user_id": 999_999, "fallback_reason": "cold_user"},
        {"user_id": None, "external_id": "nobody", "fallback_reason": "cold_user"},
    ]
    assert [result["position"] for result in answer["results"]] == [1, 2, 3, 4, 5]
    assert "db;dur=" in response["Server-Timing"]


def test_the_order_of_the_listeners_does_not_matter(listeners: list[User], service: APIClient) -> None:
    group = [*listeners[:3], 999_999]
    first, second = (ask(service, *order, limit=10).json()["results"] for order in (group, group[::-1]))
    assert first == second


def test_each_listener_counts_as_alone(listeners: list[User], service: APIClient) -> None:
    even, odd = listeners[0], listeners[1]
    majority = ask(service, even, listeners[2], odd, exclude_played=False, limit=2).json()
    assert parities(majority) == [0, 0]
    User.objects.filter(pk__in=[even.pk, listeners[2].pk]).update(consent=False)
    without_consent = ask(service, even, listeners[2], odd, exclude_played=False, limit=2).json()
    reasons = [listener["fallback_reason"] for listener in without_consent["listeners"]]
    assert reasons == ["no_consent", "no_consent", None]
    assert parities(without_consent) == [1, 1]
    nobody_known = ask(service, even, listeners[2], limit=2).json()
    assert (nobody_known["fallback_reason"], nobody_known["strategy"]) == ("no_consent", "group")


def test_tracks_that_one_of_them_has_played_are_left_out_while_there_are_others(
    listeners: list[User], catalogue: CatalogueFactory, service: APIClient
) -> None:
    new = catalogue.tracks(3)
    bump_catalogue_revision()
    answer = ask(service, listeners[0], listeners[1], limit=5).json()
    unplayed = [*new, *Track.objects.filter(title__in=["Song 0", "Song 1"])]
    assert {result["track_id"] for result in answer["results"]} == {track.pk for track in unplayed}
    nothing_new = ask(service, *listeners[:4], limit=40).json()
    assert len(nothing_new["results"]) == 3  # 0 to 3 have each been played by somebody
    Track.objects.filter(pk__in=[track.pk for track in new]).update(taken_down_at=timezone.now())
    bump_catalogue_revision()
    nothing_new = ask(service, *listeners[:4], limit=40).json()
    assert (nothing_new["fallback_reason"], len(nothing_new["results"])) == ("nothing_new", 20)


def test_a_listeners_slider_moves_tracks_of_the_list_and_is_their_reason(
    listeners: list[User], service: APIClient
) -> None:
    calm = Tag.objects.create(name="calm", kind="mood")
    track = Track.objects.get(title="Song 7")  # of the odd ones
    TrackTag.objects.create(track=track, tag=calm)
    bump_catalogue_revision()
    even = listeners[0], listeners[2]

    def find() -> dict[str, Any]:
        answer = ask(service, *even, exclude_played=False, limit=20, explain=True).json()
        return next(result for result in answer["results"] if result["track_id"] == track.pk)

    before = find()
    set_slider(even[0].pk, SliderKind.TAG, calm.pk, 1.0)
    after = find()
    assert after["position"] < before["position"]
    assert [explanation["kind"] for explanation in after["explanations"]] == ["slider", "others"]


def test_markets_and_wishes_of_all_listeners_apply_at_once(listeners: list[User], service: APIClient) -> None:
    first, second = listeners[0], listeners[2]
    User.objects.filter(pk=first.pk).update(market="DE")
    User.objects.filter(pk=second.pk).update(market="FR", allow_explicit=False)
    tracks = list(Track.objects.order_by("pk"))
    for track, fields in zip(
        tracks, [{"markets": "DE"}, {"markets": "FR"}, {"markets": "DE FR"}, {"explicit": True}], strict=False
    ):
        Track.objects.filter(pk=track.pk).update(**fields)
    bump_catalogue_revision()

    def left_out(**options: Any) -> set[int]:
        answer = ask(service, first, second, limit=20, exclude_played=False, **options).json()
        offered = {result["track_id"] for result in answer["results"]}
        return {number for number, track in enumerate(tracks) if track.pk not in offered}

    assert left_out() == {0, 1, 3}
    assert left_out(market="DE") == {1, 3}
    User.objects.filter(pk=second.pk).update(allow_explicit=True)
    assert left_out() == {0, 1}
    assert left_out(explicit=False) == {0, 1, 3}


def test_explanations_give_each_listener_a_reason_of_their_own(listeners: list[User], service: APIClient) -> None:
    even, odd = listeners[0], listeners[1]
    answer = ask(service, even, odd, 999_999, explain=True, exclude_played=False, limit=20).json()
    keys = {"user_id", "relevance", "text", "kind", "because_track_ids", "because", "share"}
    tracks = list(Track.objects.order_by("pk").values_list("pk", flat=True))
    of_track = {result["track_id"]: result["explanations"] for result in answer["results"]}
    assert all(
        [reason["user_id"] for reason in reasons] == [even.pk, odd.pk, 999_999]
        and all(reason.keys() == keys for reason in reasons)
        for reasons in of_track.values()
    )
    for number, mine, other in ((0, 0, 1), (1, 1, 0)):  # the track of its taste that it has not played
        own, others, new = of_track[tracks[number]][mine], of_track[tracks[number]][other], of_track[tracks[number]][2]
        assert (own["kind"], own["text"][:18]) == ("plays", "Because you often ")
        assert {(track - tracks[0]) % 2 for track in own["because_track_ids"]} == {number}
        assert (others["kind"], others["text"], others["because"]) == ("others", "Chosen for the others", [])
        assert (new["kind"], new["text"]) == ("popular", "Popular with 9 listeners")
    assert of_track[tracks[2]][0]["kind"] == "repeat"
    without = ask(service, even, odd).json()
    assert all("explanations" not in result and "explanation" not in result for result in without["results"])


def test_a_slate_is_logged_for_nobody_and_counted_if_all_have_consented(
    listeners: list[User], service: APIClient
) -> None:
    ids = [ask(service, *listeners[:2], placement="party").json()["recommendation_id"]]
    User.objects.filter(pk=listeners[0].pk).update(consent=False)
    ids.append(ask(service, *listeners[:2], placement="party").json()["recommendation_id"])
    slate_log.flush()
    stored = {str(s.pk): s for s in Slate.objects.filter(placement="party")}
    assert stored.keys() == set(ids)
    facts = [(stored[i].user_id, stored[i].strategy, stored[i].request, stored[i].is_counted) for i in ids]
    assert facts == [(None, "group", None, True), (None, "group", None, False)]
    assert_problem(service.get(f"/recommendations/{ids[0]}/next"), 404)


def test_the_number_of_queries_does_not_grow_with_the_group(listeners: list[User], service: APIClient) -> None:
    ask(service, *listeners[:2])
    with CaptureQueriesContext(connection) as queries:
        ask(service, *listeners[:10])
    assert len(queries) <= 3, [query["sql"] for query in queries]  # the key, the listeners, tracks not shown before


def test_without_a_model_a_group_gets_popular_tracks(catalogue: CatalogueFactory, service: APIClient) -> None:
    users, tracks = catalogue.checkerboard()
    store_interaction(users[0], tracks[1], "dislike", at=timezone.now())
    answer = ask(service, *users[:3], limit=20, exclude_played=False).json()
    assert (answer["degraded"], answer["fallback_reason"]) == (True, "no_model")
    assert {result["track_id"] for result in answer["results"]} == {track.pk for track in tracks} - {tracks[1].pk}


def test_a_listener_token_is_refused_and_nothing_is_logged(
    alice: User, bob: User, as_listener: Callable[[User], APIClient]
) -> None:
    problem = assert_problem(ask(as_listener(alice), alice, bob), 403)
    assert "service key with the scope 'recommend'" in problem["detail"]
    slate_log.flush()
    assert not Slate.objects.exists()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/listeners"),
        ({"listeners": [1]}, "#/listeners"),
        ({"listeners": list(range(1, 12))}, "#/listeners"),
        ({"listeners": [1, 1]}, "#/listeners"),
        ({"listeners": [1, "x"]}, "#/listeners/1"),
        ({"listeners": [1, 2], "strategy": "most_pleasure"}, "#/strategy"),
        ({"listeners": [1, 2], "limit": 101}, "#/limit"),
        ({"listeners": [1, 2], "familiarity": 0.5}, "#/familiarity"),
        ({"listeners": [1, 2], "market": "Germany"}, "#/market"),
    ],
)
def test_a_wrong_body_is_refused_with_a_pointer(body: dict[str, Any], pointer: str, service: APIClient) -> None:
    problem = assert_problem(service.post("/recommend/group", body, format="json"), 400)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_listener_must_not_be_named_by_both_ids_and_each_counts_for_the_rate_limit(
    alice: User, service: APIClient, settings: Any
) -> None:
    User.objects.filter(pk=alice.pk).update(external_id="x:alice")
    assert "by both ids" in assert_problem(ask(service, alice, "external:x:alice"), 400)["errors"][0]["detail"]
    settings.MUSICREC = settings.MUSICREC | {"RATE_KEY": "11/min"}  # other limits have other counters
    assert ask(service, *range(1, 7)).status_code == 200
    assert_problem(ask(service, *range(1, 7)), 429)
