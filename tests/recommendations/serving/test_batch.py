from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from access.models import User
from engine.retrieval.candidates import SIMILARITIES
from experiments.exposures.log import slate_log
from experiments.models import Slate
from recommendations.serving.response_cache import response_cache
from recommendations.training.run import run_training
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.models import Track
from tracks.services import bump_catalogue_revision

PATH = "/recommend/batch"


@pytest.fixture
def trained_catalogue(catalogue: CatalogueFactory) -> CatalogueFactory:
    catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return catalogue


def send(client: APIClient, **body: Any) -> Any:
    return client.post(PATH, body, format="json")


def without_request_fields(answer: dict[str, Any]) -> dict[str, Any]:
    own = ("recommendation_id", "generated_at", "next", "user_id", "name")
    return {k: v for k, v in answer.items() if k not in own}


class TestSeveralListeners:
    def test_each_listener_gets_the_same_answer_as_from_a_single_request(
        self, trained_catalogue: CatalogueFactory, service: APIClient
    ) -> None:
        new = User.objects.create_user("new").pk
        users = [*User.objects.filter(username__startswith="listener").values_list("pk", flat=True), new, 999_999]
        answers = send(service, users=users, limit=7).json()["answers"]
        assert [a["user_id"] for a in answers] == users
        response_cache.clear()
        for answer in answers:
            alone = service.get(f"/recommend/user/{answer['user_id']}/ml?limit=7").json()
            assert without_request_fields(alone) == without_request_fields(answer)

    def test_strategy_and_cache_hits_are_reported_to_monitoring(
        self, trained_catalogue: CatalogueFactory, service: APIClient
    ) -> None:
        known, new = User.objects.filter(username__startswith="listener")[0].pk, User.objects.create_user("new").pk
        mixed = {"endpoint": "recommend-batch", "strategy": "mixed", "status": "200"}
        before = REGISTRY.get_sample_value("musicrec_request_seconds_count", mixed) or 0
        service.get(f"/recommend/user/{known}/ml?limit=7")
        response = send(service, users=[known, new], limit=7)
        assert 'cache;desc="1 of 2"' in response["Server-Timing"]
        assert REGISTRY.get_sample_value("musicrec_request_seconds_count", mixed) == before + 1

    def test_several_listeners_cost_as_many_queries_as_one(
        self, trained_catalogue: CatalogueFactory, service: APIClient
    ) -> None:
        users = list(User.objects.values_list("pk", flat=True))
        send(service, users=users[:1])
        with CaptureQueriesContext(connection) as queries:
            send(service, users=users[1:])
        assert len(queries) <= 3, [q["sql"] for q in queries]  # the key, the listeners, tracks not shown before

    def test_each_answer_is_logged_as_a_slate(self, trained_catalogue: CatalogueFactory, service: APIClient) -> None:
        users = list(User.objects.values_list("pk", flat=True))[:3]
        answered = {a["recommendation_id"] for a in send(service, users=users, placement="push").json()["answers"]}
        slate_log.flush()
        assert {str(pk) for pk in Slate.objects.filter(placement="push").values_list("pk", flat=True)} == answered

    def test_a_token_may_only_ask_for_its_own_listener(
        self, alice: User, bob: User, as_listener: Callable[[User], APIClient]
    ) -> None:
        assert send(as_listener(alice), users=[alice.pk]).status_code == 200
        assert_problem(send(as_listener(alice), users=[bob.pk]), 404)
        assert_problem(send(as_listener(alice), users=[alice.pk, bob.pk]), 404)

    def test_each_listener_counts_towards_the_rate_limit(self, service: APIClient, db: None, settings: Any) -> None:
        settings.MUSICREC = settings.MUSICREC | {"RATE_KEY": "10/min"}
        assert send(service, users=[1, 2, 3, 4, 5, 6]).status_code == 200
        assert_problem(send(service, users=[1, 2, 3, 4, 5]), 429)


class TestShelves:
    def test_a_track_is_on_one_shelf_only(
        self, trained_catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
    ) -> None:
        listener, track = User.objects.get(username="listener-0"), Track.objects.latest("pk")
        shelves = [
            {"name": "for-you", "kind": "personal", "limit": 3},
            {"name": "more-like", "kind": "similar", "track_id": track.pk, "limit": 3},
            {"name": "popular", "kind": "popular", "limit": 3},
            {"name": "again", "kind": "personal", "limit": 3},
        ]
        answered = send(as_listener(listener), shelves=shelves).json()["shelves"]
        assert [shelf["name"] for shelf in answered] == [shelf["name"] for shelf in shelves]
        tracks = [r["track_id"] for shelf in answered for r in shelf["results"]]
        assert len(tracks) == len(set(tracks)) > 9
        alone = as_listener(listener).get("/recommend/user/me/ml?limit=3").json()
        assert without_request_fields(alone) == without_request_fields(answered[0])

    def test_similar_tracks_are_of_the_similarity_of_their_shelf(
        self, trained_catalogue: CatalogueFactory, service: APIClient
    ) -> None:
        [track] = trained_catalogue.tracks(1)
        bump_catalogue_revision()
        alone = {}
        for kind in SIMILARITIES:
            shelf = {"name": "a", "kind": "similar", "track_id": track.pk, "limit": 10, "similarity": kind}
            [answered] = send(service, user_id=999, shelves=[shelf]).json()["shelves"]
            alone[kind] = service.get(f"/recommend/similar/{track.pk}?kind={kind}").json()
            assert without_request_fields(alone[kind]) == without_request_fields(answered)
        assert (alone["cf"]["strategy"], alone["content"]["strategy"]) == ("content", "similar")

    def test_a_service_key_must_name_the_listener(
        self, trained_catalogue: CatalogueFactory, service: APIClient, alice: User
    ) -> None:
        shelves = [{"name": "a", "kind": "personal"}]
        assert send(service, user_id=alice.pk, shelves=shelves).json()["shelves"][0]["fallback_reason"] == "cold_user"
        assert "user_id" in assert_problem(send(service, shelves=shelves), 400)["detail"]

    def test_a_token_cannot_get_shelves_of_another_listener(
        self, alice: User, bob: User, as_listener: Callable[[User], APIClient]
    ) -> None:
        shelves = [{"name": "a", "kind": "personal"}]
        assert_problem(send(as_listener(alice), user_id=bob.pk, shelves=shelves), 404)
        named, unnamed = (send(as_listener(alice), shelves=shelves, **user) for user in ({"user_id": alice.pk}, {}))
        assert (named.status_code, unnamed.status_code) == (200, 200)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#/users"),
        ({"users": []}, "#/users"),
        ({"users": [1, 1]}, "#/users"),
        ({"users": list(range(1, 102))}, "#/users"),
        ({"users": ["x"]}, "#/users/0"),
        ({"users": [0]}, "#/users/0"),
        ({"users": [1], "limit": 101}, "#/limit"),
        ({"users": [1], "offset": 20}, "#/offset"),
        ({"user_id": 1, "shelves": [{"name": "a", "kind": "popular", "page": 2}]}, "#/shelves/0/page"),
        ({"users": [1], "shelves": [{"name": "a", "kind": "personal"}]}, "#/users"),
        ({"user_id": 1, "shelves": [{"name": "a", "kind": "radio"}]}, "#/shelves/0/kind"),
        (
            {"user_id": 1, "shelves": [{"name": "a", "kind": "similar", "track_id": 1, "similarity": "sound"}]},
            "#/shelves/0/similarity",
        ),
        ({"user_id": 1, "shelves": [{"name": "a", "kind": "popular", "similarity": "cf"}]}, "#/shelves/0/similarity"),
        ({"user_id": 1, "shelves": [{"name": "a", "kind": "similar"}]}, "#/shelves/0/track_id"),
        ({"user_id": 1, "shelves": [{"name": "a", "kind": "popular", "track_id": 1}]}, "#/shelves/0/track_id"),
        ({"user_id": 1, "shelves": [{"name": "a", "kind": "similar", "track_id": 99_999}]}, "#/shelves"),
        ({"user_id": 1, "shelves": [{"name": "a", "kind": "popular"}] * 2}, "#/shelves"),
        ({"user_id": 1, "shelves": "x"}, "#/shelves"),
        ([], "#"),
        ("users", "#"),
    ],
)
def test_an_invalid_body_is_a_400_that_points_to_the_field(service: APIClient, body: Any, pointer: str) -> None:
    problem = assert_problem(service.post(PATH, body, format="json"), 400)
    assert pointer in [e["pointer"] for e in problem["errors"]], problem


def test_the_message_for_an_invalid_text_says_what_is_allowed(service: APIClient, db: None) -> None:
    market = "must be two capital letters, as in ISO 3166-1, or empty"
    characters = "must be 1 to 64 letters, digits, _ . : -"
    for value in ("de", "DEU", "D1"):
        problem = assert_problem(service.get(f"/recommend/similar/1?market={value}"), 400)
        assert problem["errors"] == [{"pointer": "?market", "detail": market}]
    for value in ("a b", "x" * 65, "<b>"):
        problem = assert_problem(service.get("/recommend/user/1/ml", {"placement": value}), 400)
        assert problem["errors"] == [{"pointer": "?placement", "detail": f"{characters}, or empty"}]
    options = {"market": "de", "placement": True}
    for name in ("", "a b", True, {}):
        problem = assert_problem(send(service, user_id=1, shelves=[{"name": name, "kind": "radio"}], **options), 400)
        assert {error["pointer"]: error["detail"] for error in problem["errors"]} == {
            "#/market": market,
            "#/placement": f"{characters}, or empty",
            "#/shelves/0/name": characters,
            "#/shelves/0/kind": "must be one of personal, similar, popular",
        }
