"""Slates of one genre over HTTP."""

import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.preferences.services import add_block
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from recommendations.version_store import version_store
from tests.conftest import assert_problem
from tests.people import CatalogueFactory, store_interaction, store_track
from tracks.models import Artist, Tag, Track, TrackTag
from tracks.services import bump_catalogue_revision, save_artist, set_taken_down

Listeners = Callable[[User], APIClient]


class World:
    """The checkerboard, whose first twelve tracks are jazz and the others rock, each by an artist of its own.

    Listeners with an even number play even tracks, the others odd ones, each without the track of its own number.
    """

    def __init__(self, catalogue: CatalogueFactory) -> None:
        self.users, self.tracks = catalogue.checkerboard()
        for number, track in enumerate(self.tracks):
            track.artist = Artist(name=f"Artist {number}")
            save_artist(track.artist)
        Track.objects.bulk_update(self.tracks, ["artist"])
        self.jazz = Tag.objects.create(name="Jazz", kind="genre")
        self.rock = Tag.objects.create(name="Rock", kind="genre")
        self.tag(self.jazz, *self.tracks[:12])
        self.tag(self.rock, *self.tracks[12:])

    @staticmethod
    def tag(tag: Tag, *tracks: Track) -> None:
        TrackTag.objects.bulk_create(TrackTag(track=track, tag=tag) for track in tracks)
        bump_catalogue_revision()

    def numbers(self, answer: dict[str, Any]) -> list[int]:
        return [result["track_id"] - self.tracks[0].pk for result in answer["results"]]


@pytest.fixture
def world(catalogue: CatalogueFactory) -> World:
    world = World(catalogue)
    assert run_training("test").status == "Published"
    return world


def ask(client: APIClient, name: str, **parameters: Any) -> dict[str, Any]:
    answer = client.get(f"/recommend/genre/{quote(name, safe='')}", parameters)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def test_the_slate_is_the_personal_one_of_the_genre(world: World, service: APIClient) -> None:
    listener = world.users[2]
    answer = ask(service, "jazz", user_id=listener.pk, limit=3, familiarity=0, explain=True)
    personal = service.get(f"/recommend/user/{listener.pk}/ml?limit=3&familiarity=0&explain=true").json()
    assert answer.keys() == personal.keys()
    assert (answer["policy"], answer["strategy"], answer["fallback_reason"]) == ("personal", "personal", None)
    assert world.numbers(answer)[0] == 2  # the only jazz of its taste that it has not played
    assert answer["results"][0].keys() == personal["results"][0].keys()
    assert answer["results"][0]["explanation"]["kind"] == "plays"
    assert set(world.numbers(ask(service, "rock", user_id=listener.pk, limit=20))) <= set(range(12, 20))


def test_a_listeners_token_implies_the_listener(world: World, service: APIClient, as_listener: Listeners) -> None:
    listener = world.users[2]
    own = ask(as_listener(listener), "jazz", limit=12)
    assert own["results"] == ask(service, "jazz", user_id=listener.pk, limit=12)["results"]
    problem = as_listener(listener).get(f"/recommend/genre/jazz?user_id={world.users[3].pk}")
    assert_problem(problem, 404)


def test_without_a_listener_popular_tracks_come_first_and_then_those_that_nobody_played(
    world: World, service: APIClient
) -> None:
    new = store_track(title="New", artist=world.tracks[0].artist)
    world.tag(world.jazz, new)
    for user in world.users[:3]:
        CatalogueFactory.play(user, world.tracks[5])
    answer = ask(service, "jazz")
    sources = {result["track_id"]: result["source"] for result in answer["results"]}
    assert sources == dict.fromkeys([track.pk for track in world.tracks[:12]], "popular") | {new.pk: "random"}
    assert (answer["policy"], answer["fallback_reason"], answer["next"]) == ("popular", None, None)
    User.objects.create_user("eve", external_id="x:eve")
    cold = ask(service, "jazz", user_id="external:x:eve")
    assert (cold["fallback_reason"], len(cold["results"])) == ("cold_user", 13)


def test_pages_go_on_until_the_genre_ends(world: World, service: APIClient) -> None:
    answer = ask(service, "JAZZ", user_id=world.users[3].pk, limit=5)
    pages = [answer]
    while pages[-1]["next"]:
        pages.append(service.get(pages[-1]["next"]).json())
    numbers = [number for page in pages for number in world.numbers(page)]
    assert sorted(numbers) == [*range(12)]
    slate_log.flush()
    stored = Slate.objects.get(pk=answer["recommendation_id"])
    assert stored.request == {"kind": "personal", "limit": 5, "genre": "jazz"}
    Tag.objects.all().delete()
    bump_catalogue_revision()
    assert_problem(service.get(answer["next"]), 404)


@pytest.mark.parametrize("with_model", [True, False])
def test_filters_apply_and_a_short_genre_makes_a_short_slate(
    with_model: bool, world: World, service: APIClient
) -> None:
    if not with_model:
        model_cache.reset()
        (version_store().root / "current.json").unlink()
    listener = world.users[1]
    add_block(listener.pk, "artist", world.tracks[0].artist_id, None)
    store_interaction(listener, world.tracks[1], "dislike", at=timezone.now())
    set_taken_down([world.tracks[2].pk], timezone.now())
    Track.objects.filter(pk=world.tracks[3].pk).update(explicit=True)
    Track.objects.filter(pk=world.tracks[4].pk).update(markets="FR")
    bump_catalogue_revision()
    answer = ask(service, "jazz", user_id=listener.pk, limit=100, explicit="false", market="DE")
    assert sorted(world.numbers(answer)) == [*range(5, 12)]
    add_block(listener.pk, "genre", world.jazz.pk, None)
    empty = ask(service, "jazz", user_id=listener.pk)
    assert (empty["results"], empty["strategy"], empty["fallback_reason"], empty["next"]) == (
        [],
        "none",
        None if with_model else "no_model",
        None,
    )


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("Música Popular", "musica  popular"),
        ("Hip-Hop", "hip hop"),
        ("Pop/Rock", "Pop/Rock"),
        ("Pop/Rock", "pop rock"),
        ("R&B", "r and b"),
        ("ЭЛЕКТРОНИКА", "электроника"),
        ("Drum ’n’ Bass", "drum n bass"),
        ("80s", "80S"),
        ("演歌", "演歌"),
        ("???", "???"),
    ],
)
def test_a_name_is_found_however_it_is_written(
    stored: str, asked: str, catalogue: CatalogueFactory, service: APIClient
) -> None:
    track, _ = catalogue.tracks(2)
    TrackTag.objects.create(track=track, tag=Tag.objects.create(name=stored, kind="genre"))
    assert [result["track_id"] for result in ask(service, asked)["results"]] == [track.pk]


def test_a_slash_need_not_be_escaped(catalogue: CatalogueFactory, service: APIClient) -> None:
    [track] = catalogue.tracks(1)
    TrackTag.objects.create(track=track, tag=Tag.objects.create(name="Pop/Rock", kind="genre"))
    assert len(service.get("/recommend/genre/Pop/Rock").json()["results"]) == 1


def test_tags_of_all_kinds_with_the_name_count_and_an_id_names_one(
    catalogue: CatalogueFactory, service: APIClient
) -> None:
    tracks = catalogue.tracks(4)
    tags = [Tag.objects.create(name=name, kind=kind) for name, kind in (("Calm", "genre"), ("calm", "mood"))]
    for track, tag in zip(tracks, [*tags, Tag.objects.create(name="loud")], strict=False):
        TrackTag.objects.create(track=track, tag=tag)
    found = {result["track_id"] for result in ask(service, "CALM")["results"]}
    assert found == {tracks[0].pk, tracks[1].pk}
    assert [result["track_id"] for result in ask(service, str(tags[1].pk))["results"]] == [tracks[1].pk]


@pytest.mark.parametrize("name", ["polka", "999999", "9" * 40, "a\x00b", "x" * 300])
def test_an_unknown_genre_is_a_404_that_says_where_names_are(
    name: str, catalogue: CatalogueFactory, service: APIClient
) -> None:
    catalogue.tracks(1)
    problem = assert_problem(service.get(f"/recommend/genre/{quote(name)}"), 404)
    assert problem["detail"].startswith("no genre and no other tag is called ")
    assert "GET /tracks/{track_id}" in problem["detail"]


def test_a_genre_without_tracks_has_an_empty_slate(catalogue: CatalogueFactory, service: APIClient) -> None:
    catalogue.tracks(3)
    Tag.objects.create(name="silence", kind="genre")
    answer = ask(service, "silence")
    assert (answer["results"], answer["strategy"], answer["next"]) == ([], "none", None)


def test_tracks_that_the_process_does_not_list_are_found(
    catalogue: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommendations.serving.model_cache.CATALOGUE_TRACKS", 3)
    tracks = catalogue.tracks(8)
    polka = Tag.objects.create(name="polka", kind="genre")
    World.tag(polka, tracks[1], tracks[5], tracks[6])
    set_taken_down([tracks[6].pk], timezone.now())
    assert [result["track_id"] for result in ask(service, "polka")["results"]] == [tracks[1].pk, tracks[5].pk]


def test_a_new_answer_costs_two_queries_and_a_cached_one_costs_one(world: World, service: APIClient) -> None:
    ask(service, "jazz", user_id=world.users[0].pk, limit=2)
    with CaptureQueriesContext(connection) as new:
        ask(service, "JAZZ", user_id=world.users[1].pk, limit=12)
    with CaptureQueriesContext(connection) as cached:
        ask(service, "Jazz", user_id=world.users[1].pk, limit=12)
    assert (len(new), len(cached)) == (2, 1)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "?limit"), ("kind=cf", "?kind"), ("user_id=x", "?user_id"), ("familiarity=2", "?familiarity")],
)
def test_a_wrong_parameter_is_refused_with_a_pointer(
    query: str, pointer: str, catalogue: CatalogueFactory, service: APIClient
) -> None:
    problem = assert_problem(service.get(f"/recommend/genre/rock?{query}"), 400)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


def test_a_session_counts(world: World, service: APIClient) -> None:
    listener, session = world.users[4], uuid.uuid4().hex
    CatalogueFactory.play(listener, world.tracks[6], at=timezone.now(), session_id=session)
    answer = ask(service, "jazz", user_id=listener.pk, session_id=session, exclude_played="false", limit=11)
    assert 6 not in world.numbers(answer)
