"""`external:ID` beside the integer id, wherever a path or a body names a listener or a track."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from access.models import User
from interactions.models import Block, Interaction
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.models import Album

LISTENER_PATHS = [
    "/recommend/user/{}/ml",
    "/recommend/user/{}",
    "/users/{}",
    "/users/{}/export",
    "/users/{}/imports",
    "/users/{}/preferences",
]
ODD_IDS = [
    "app:4711",
    "external:4711",
    "Zoë O'Brien, 2nd",
    "日本語 🎧",
    "100%25 + ?&#=;",
    "..",
    "me",
    "7",
    "a\u200db",  # joined by an invisible character
    "x" * 128,
]
CATALOGUE_PATHS = ["/tracks/{}", "/recommend/similar/{}", "/users/{{}}/likes/{}", "/users/{{}}/blocks/album/{}"]
WITHOUT_PREFIX = ["alice", "4.0", "-1", "٤٢", "mine:4711"]  # external ids in the paths of the catalogue
NAMES_NOTHING = [*WITHOUT_PREFIX, "external:", "external:%20", "external:a%00", "external:%0A"]


@pytest.fixture
def ada(alice: User) -> User:
    alice.external_id = "app:4711"
    alice.save()
    return alice


def path_of(template: str, name: str) -> str:
    return template.format(quote(name, safe=""))


@pytest.mark.parametrize("template", LISTENER_PATHS)
def test_a_key_names_a_listener_by_external_id_in_every_path(template: str, service: APIClient, ada: User) -> None:
    assert service.get(path_of(template, "external:app:4711")).status_code == 200


@pytest.mark.parametrize("external_id", ODD_IDS)
def test_any_printable_text_is_an_external_id(external_id: str, service: APIClient, alice: User) -> None:
    User.objects.filter(pk=alice.pk).update(external_id=external_id)
    account = service.get(path_of("/users/{}", f"external:{external_id}")).json()
    assert (account["user_id"], account["external_id"]) == (alice.pk, external_id)


@pytest.mark.parametrize("template", LISTENER_PATHS)
def test_a_token_may_name_its_own_listener_only(
    template: str, ada: User, bob: User, as_listener: Callable[[User], APIClient]
) -> None:
    assert as_listener(ada).get(path_of(template, "external:app:4711")).status_code == 200
    assert_problem(as_listener(ada).get(path_of(template, "external:nobody")), 404)
    assert_problem(as_listener(bob).get(path_of(template, "external:app:4711")), 404)


@pytest.mark.parametrize("template", LISTENER_PATHS[2:])
def test_an_unknown_external_id_is_a_404_outside_of_recommendations(template: str, service: APIClient) -> None:
    assert_problem(service.get(path_of(template, "external:nobody")), 404)


@pytest.mark.parametrize("template", [*LISTENER_PATHS, *CATALOGUE_PATHS])
@pytest.mark.parametrize("name", NAMES_NOTHING)
def test_a_path_that_names_nothing_is_refused_everywhere(
    template: str, name: str, service: APIClient, alice: User
) -> None:
    path = template.format(name).format(alice.pk)
    response = service.put(path) if "/likes/" in path or "/blocks/" in path else service.get(path)
    if template in CATALOGUE_PATHS and name in WITHOUT_PREFIX:
        assert_problem(response, 404)
    else:
        problem = assert_problem(response, 400)
        assert problem["errors"][0]["pointer"] in ("{user_id}", "{track_id}", "{target_id}")
    assert not Interaction.objects.exists()
    assert not Block.objects.exists()


def test_recommendations_are_those_of_the_listener(service: APIClient, ada: User, catalogue: CatalogueFactory) -> None:
    catalogue.play(ada, *catalogue.tracks(8)[:3])
    by_number = service.get(f"/recommend/user/{ada.pk}/ml").json()
    assert len(by_number["results"]) == 5
    assert service.get("/recommend/user/external:app:4711/ml").json() == by_number
    assert service.get("/recommend/user/external:app:4712/ml").json()["results"] != by_number["results"]


def test_an_unknown_external_id_gets_popular_tracks(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.tracks(3)
    answers = [
        service.get(f"/recommend/user/{n}/ml") for n in ("external:new", "external:new", "external:other", 10**30)
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    first, again, *others = (answer.json() for answer in answers)
    assert first == again
    assert {len(answer["results"]) for answer in (first, *others)} == {3}
    assert len({answer["recommendation_id"] for answer in (first, *others)}) == 3  # each is a slate of its own


def test_an_integer_and_a_token_need_no_further_query(
    service: APIClient, ada: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    catalogue.tracks(3)
    calls = [
        (service, ada.pk, 1),
        (service, "external:app:4711", 2),
        (as_listener(ada), "me", 1),
        (as_listener(ada), ada.pk, 1),
    ]
    for api, name, expected in calls:
        api.get(f"/recommend/user/{name}/ml")
        with CaptureQueriesContext(connection) as queries:
            assert api.get(f"/recommend/user/{name}/ml").status_code == 200
        assert len(queries) == expected, (name, [query["sql"] for query in queries])


def test_tracks_are_named_by_external_id(service: APIClient, ada: User, catalogue: CatalogueFactory) -> None:
    first, *_ = catalogue.tracks(4)
    assert service.get("/tracks/external:t:0").json() == service.get(f"/tracks/{first.pk}").json()
    similar = service.get("/recommend/similar/external:t:0").json()
    assert similar == service.get(f"/recommend/similar/{first.pk}").json()
    assert len(similar["results"]) == 3
    for path in (
        "/tracks/external:t:9",
        "/recommend/similar/external:t:9",
        f"/tracks/{10**30}",
        f"/recommend/similar/{10**30}",
    ):
        assert_problem(service.get(path), 404)


def test_blocks_apply_to_similar_tracks_of_a_listener_named_by_external_id(
    service: APIClient, ada: User, catalogue: CatalogueFactory
) -> None:
    catalogue.tracks(4)
    assert service.put("/users/external:app:4711/blocks/track/external:t:1").status_code == 204
    shown = service.get("/recommend/similar/external:t:0", {"user_id": "external:app:4711"}).json()["results"]
    assert {result["external_id"] for result in shown} == {"t:2", "t:3"}
    assert_problem(service.get("/recommend/similar/external:t:0", {"user_id": "app:4711"}), 400)


def test_preferences_name_listener_and_target_by_external_id(
    service: APIClient, ada: User, catalogue: CatalogueFactory
) -> None:
    track = catalogue.tracks(1)[0]
    album = Album.objects.create(title="Album", artist=catalogue.artist, external_id="t:album")
    me = "/users/external:app:4711"
    targets = ["track/external:t:0", "artist/external:t:artist", "album/external:t:album"]
    for path in ("likes/external:t:0", *(f"blocks/{target}" for target in targets)):
        assert service.put(f"{me}/{path}").status_code == 204
    preferences = service.get(f"{me}/preferences").json()
    blocked = {(block["kind"], block["target_id"]) for block in preferences["blocks"]}
    assert preferences["likes"] == [track.pk]
    assert blocked == {("track", track.pk), ("artist", catalogue.artist.pk), ("album", album.pk)}
    for target in targets:
        assert service.delete(f"{me}/blocks/{target}").status_code == 204
    assert not Block.objects.exists()
    for path in ("likes/external:t:9", "dislikes/external:t:9", "blocks/artist/external:t:9"):
        assert_problem(service.put(f"{me}/{path}"), 404)
    detail = assert_problem(service.put(f"{me}/blocks/genre/external:jazz"), 400)["detail"]
    assert detail == "{target_id}: a genre has no external id; use the tag_id of a track page"


def batch(service: APIClient, **body: Any) -> Any:
    return service.post("/recommend/batch", body, format="json")


def test_a_batch_names_listeners_by_either_id(
    service: APIClient, ada: User, bob: User, catalogue: CatalogueFactory
) -> None:
    catalogue.play(ada, *catalogue.tracks(8)[:3])
    answers = batch(service, users=["external:app:4711", bob.pk, "external:new", str(bob.pk + 1)]).json()["answers"]
    named = [(answer["user_id"], answer.get("external_id")) for answer in answers]
    assert named == [(ada.pk, "app:4711"), (bob.pk, None), (None, "new"), (bob.pk + 1, None)]
    assert [len(answer["results"]) for answer in answers] == [5, 8, 8, 8]
    single = service.get(f"/recommend/user/{ada.pk}/ml").json()
    assert answers[0] == single | {"user_id": ada.pk, "external_id": "app:4711"}


@pytest.mark.parametrize(
    ("body", "pointer", "detail"),
    [
        ({"users": ["app:4711"]}, "#/users/0", "expected an integer, or external:ID with an id of your own"),
        ({"users": ["external:"]}, "#/users/0", "the external id is empty"),
        ({"users": [0]}, "#/users/0", "an id is a number from 1 to 9223372036854775807"),
        ({"users": [2**63]}, "#/users/0", "an id is a number from 1 to 9223372036854775807"),
        ({"users": [True]}, "#/users/0", "expected an integer, or external:ID with an id of your own"),
        ({"users": [{}]}, "#/users/0", "expected an integer, or external:ID with an id of your own"),
        ({"users": ["external:a\x00b"]}, "#/users/0", "the external id contains control characters or invalid Unicode"),
        ({"users": ["external:a", "external:a"]}, "#/users", "ids must be unique"),
        ({"users": [1], "user_id": 1}, "#/user_id", "names the listener of shelves; leave it out beside users"),
        (
            {"user_id": 1, "shelves": [{"name": "a", "kind": "similar", "track_id": "external:t:9"}]},
            "#/shelves",
            "there is no track external:t:9 in the catalogue",
        ),
    ],
)
def test_an_invalid_batch_names_its_fault(service: APIClient, body: Any, pointer: str, detail: str) -> None:
    assert assert_problem(batch(service, **body), 400)["errors"] == [{"pointer": pointer, "detail": detail}]


def test_a_batch_refuses_a_listener_who_is_named_twice(service: APIClient, ada: User) -> None:
    problem = assert_problem(batch(service, users=[ada.pk, "external:app:4711"]), 400)
    assert problem["errors"] == [{"pointer": "#/users", "detail": "names a listener twice"}]


def test_shelves_name_listener_and_track_by_external_id(
    service: APIClient, ada: User, bob: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    tracks = catalogue.tracks(4)
    shelves = [{"name": "like", "kind": "similar", "track_id": "external:t:0"}, {"name": "top", "kind": "popular"}]
    service.put(f"/users/external:app:4711/blocks/track/{tracks[1].pk}")
    for api in (service, as_listener(ada)):
        answer = batch(api, user_id="external:app:4711", shelves=shelves).json()["shelves"]
        assert [shelf["name"] for shelf in answer] == ["like", "top"]
        assert {result["track_id"] for result in answer[0]["results"]} == {tracks[2].pk, tracks[3].pk}
    assert_problem(batch(as_listener(bob), user_id="external:app:4711", shelves=shelves), 404)
    assert_problem(batch(as_listener(bob), users=["external:app:4711"]), 404)
    assert batch(service, user_id="external:new", shelves=shelves).status_code == 200


def test_an_import_is_listed_under_either_id(service: APIClient, ada: User) -> None:
    for path in ("/users/external:app:4711/imports", f"/users/{ada.pk}/imports"):
        assert service.get(path).json() == {"imports": []}
