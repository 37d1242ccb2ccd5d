from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from access.models import User
from access.services import bump_user_revisions
from engine.mixes import LENGTH
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.models import Interaction
from recommendations.models import StoredMixes
from recommendations.serving.response_cache import response_cache
from tests.conftest import assert_problem
from tests.people import CatalogueFactory, store_track
from tests.recommendations.mixes.conftest import Scene, by_id, tracks_of
from tracks.models import Track
from tracks.services import bump_catalogue_revision

COLD_IDS = ["new-releases", "trending", "popular"]


def test_each_mix_holds_what_its_title_says(scene: Scene, service: APIClient) -> None:
    user, now = scene.listeners[1], timezone.now()
    mixes = by_id(service.get(f"/users/{user.pk}/mixes"))
    assert {"daily-mix-1", "discovery", "because-you-love-1", "on-repeat", "rediscover", "new-releases"} <= mixes.keys()
    tracks = {name: [result["track_id"] for result in mix["results"]] for name, mix in mixes.items()}
    plays = Interaction.objects.filter(user=user)
    known = set(plays.values_list("track", flat=True))
    lately = set(plays.filter(played_at__gt=now - timedelta(days=30)).values_list("track", flat=True))
    assert set(tracks["on-repeat"]) <= lately
    assert set(tracks["rediscover"]) <= known - lately
    assert not set(tracks["discovery"]) & known
    released = Track.objects.filter(pk__in=tracks["new-releases"]).values_list("released_on", flat=True)
    assert all(day and day > (now - timedelta(days=60)).date() for day in released)
    sources = {result["source"] for result in mixes["daily-mix-1"]["results"]}
    assert sources == {"personal", "repeat"}
    named = {
        name: (mix["title"], mix["is_personal"], mix["artist_id"], mix["tag_id"])
        for name, mix in mixes.items()
        if name in ("on-repeat", "rediscover", "discovery", "new-releases")
    }
    assert named == {
        "on-repeat": ("On repeat", True, None, None),
        "rediscover": ("Rediscover", True, None, None),
        "discovery": ("Discover", True, None, None),
        "new-releases": ("New releases for you", True, None, None),
    }
    genre, _, artists = mixes["daily-mix-1"]["title"].partition(": ")
    assert genre in ("Jazz", "Pop")
    names = {result["artist_name"] for result in mixes["daily-mix-1"]["results"]}
    assert set(artists.removesuffix(" and more").split(", ")) <= names
    assert artists.endswith(" and more")
    because = mixes["because-you-love-1"]
    assert because["title"] in [f"Because you love {a.name}" for a in scene.artists if a.pk == because["artist_id"]]


def test_no_recording_is_on_two_shelves(scene: Scene, service: APIClient) -> None:
    user = scene.listeners[2]
    for genre in scene.tracks:  # the same recordings on other releases
        for track in scene.tracks[genre][::3]:
            store_track(title=track.title, artist=track.artist, isrc=f"DE{track.pk:010}"[:12])
            Track.objects.filter(pk=track.pk).update(isrc=f"DE{track.pk:010}"[:12])
    bump_catalogue_revision()
    for screen in ("mixes?limit=40", "mixes?limit=5", "home", "home?shelves=20&limit=40"):
        track_ids = tracks_of(service.get(f"/users/{user.pk}/{screen}"))
        recordings = [Track.objects.get(pk=i).title for i in track_ids]
        assert len(recordings) == len(set(recordings)) > 20


def test_an_answer_has_the_fields_of_other_slates_for_each_shelf(scene: Scene, service: APIClient) -> None:
    answer = service.get(f"/users/{scene.listeners[1].pk}/home?limit=4&explain=true").json()
    version = answer.pop("model_version")
    shelves = answer.pop("shelves")
    tomorrow = (timezone.now() + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    assert answer == {"degraded": False, "fallback_reason": None, "expires_at": tomorrow}
    assert version
    assert len(shelves) == 8
    for shelf in shelves:
        assert shelf.keys() == {
            *("recommendation_id", "id", "kind", "title", "description", "is_personal", "artist_id", "tag_id"),
            *("strategy", "generated_at", "expires_at", "results"),
        }
        assert shelf["expires_at"] == tomorrow
        assert [result["position"] for result in shelf["results"]] == [1, 2, 3, 4]
        assert all(result["explanation"]["text"] for result in shelf["results"])
        assert shelf["strategy"] == shelf["results"][0]["source"]
    frozen = {"track_id", "score", "title", "artist_name", "artist_id", "album_id", "duration_ms", "preview_url"}
    assert frozen | {"cover_url", "explicit", "external_id"} <= shelves[0]["results"][0].keys()


def test_the_home_screen_begins_with_one_shelf_of_each_kind(scene: Scene, service: APIClient) -> None:
    user = scene.listeners[1]
    kinds = [shelf["kind"] for shelf in service.get(f"/users/{user.pk}/home?shelves=7").json()["shelves"]]
    assert kinds == [
        *("on_repeat", "daily_mix", "discovery", "because_you_love", "new_releases", "trending", "rediscover")
    ]
    assert len(service.get(f"/users/{user.pk}/home?shelves=3").json()["shelves"]) == 3


def test_mixes_stay_the_same_all_day_whatever_the_listener_plays(
    scene: Scene, catalogue: CatalogueFactory, service: APIClient
) -> None:
    user = scene.listeners[1]
    first = service.get(f"/users/{user.pk}/mixes")
    response_cache.clear()  # as in another process
    assert service.get(f"/users/{user.pk}/mixes").content == first.content
    catalogue.play(user, *scene.tracks["pop"][:5], at=timezone.now())
    again = service.get(f"/users/{user.pk}/mixes")
    assert again.content == first.content
    assert StoredMixes.objects.filter(user=user).count() == 1


def test_a_listener_of_whom_twice_as_much_is_known_gets_new_mixes_at_once(
    scene: Scene, catalogue: CatalogueFactory, service: APIClient
) -> None:
    user = User.objects.create_user("newcomer")
    catalogue.play(user, *scene.tracks["pop"][:6], at=timezone.now())
    before = by_id(service.get(f"/users/{user.pk}/mixes"))
    stored = StoredMixes.objects.get(user=user)
    assert "on-repeat" not in before
    for minutes in (30, 60):
        catalogue.play(user, *scene.tracks["pop"][:6], at=timezone.now() - timedelta(minutes=minutes))
    assert "on-repeat" in by_id(service.get(f"/users/{user.pk}/mixes"))
    assert StoredMixes.objects.get(user=user).generated_at > stored.generated_at


def test_listeners_without_consent_get_shelves_that_are_not_personal(scene: Scene, service: APIClient) -> None:
    user = scene.listeners[1]
    service.get(f"/users/{user.pk}/home")
    slate_log.clear()
    user.consent = False
    user.save()
    bump_user_revisions([user.pk])
    answer = service.get(f"/users/{user.pk}/home")
    shelves = by_id(answer)
    assert answer.json()["fallback_reason"] == "no_consent"
    assert list(shelves)[:3] == COLD_IDS
    assert not any(shelf["is_personal"] for shelf in shelves.values())
    slate_log.flush()
    slates = Slate.objects.values_list("user", "is_counted").distinct()
    assert list(slates) == [(None, False)]


@pytest.mark.parametrize("listener", ["external:unknown", "999999", "new"])
def test_cold_listeners_get_new_trending_and_popular_tracks_and_charts_of_genres(
    scene: Scene, service: APIClient, listener: str
) -> None:
    if listener == "new":
        listener = str(User.objects.create_user("new").pk)
    answer = service.get(f"/users/{listener}/home")
    shelves = by_id(answer)
    assert answer.json()["fallback_reason"] == "cold_user"
    genres = [f"genre-{shelf['tag_id']}" for shelf in shelves.values() if shelf["kind"] == "genre"]
    assert list(shelves) == [*COLD_IDS, *genres]
    assert len(genres) == 3
    for shelf in shelves.values():
        if shelf["kind"] == "genre":
            [genre] = {scene.genre_of(result["track_id"]) for result in shelf["results"]}
            assert shelf["title"] == f"Popular in {genre.title()}"


def test_an_empty_installation_has_an_empty_screen_and_a_tiny_one_a_short_one(
    catalogue: CatalogueFactory, service: APIClient, alice: User
) -> None:
    for screen in ("mixes", "home"):
        answer = service.get(f"/users/{alice.pk}/{screen}").json()
        assert (answer["shelves"], answer["fallback_reason"], answer["degraded"]) == ([], "no_model", True)
    assert not StoredMixes.objects.exists()
    [track] = catalogue.tracks(1)
    bump_catalogue_revision()
    [shelf] = service.get(f"/users/{alice.pk}/home").json()["shelves"]
    assert (shelf["id"], [result["track_id"] for result in shelf["results"]]) == ("popular", [track.pk])
    more = catalogue.tracks(20)
    bump_catalogue_revision()
    shown = tracks_of(service.get(f"/users/{alice.pk}/home"))
    assert len(shown) >= 12
    assert set(shown) <= {track.pk, *(t.pk for t in more)}


def test_each_shelf_is_logged_as_a_slate_once_while_its_tracks_stay(
    scene: Scene, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    user = scene.listeners[1]
    api = as_listener(user)
    shelves = by_id(api.get("/users/me/home"))
    catalogue.play(user, scene.tracks["pop"][0], at=timezone.now())
    assert by_id(api.get("/users/me/home")) == shelves
    slate_log.flush()
    slates = {slate.placement: slate for slate in Slate.objects.all()}
    assert slates.keys() == {f"home.{name}" for name in shelves}
    for name, shelf in shelves.items():
        slate = slates[f"home.{name}"]
        assert (str(slate.pk), slate.user_id, slate.policy) == (shelf["recommendation_id"], user.pk, shelf["kind"])
        assert slate.track_ids == [result["track_id"] for result in shelf["results"]]


def test_slates_are_logged_with_the_version_that_made_the_mixes(scene: Scene, service: APIClient) -> None:
    user = scene.listeners[1]
    service.get(f"/users/{user.pk}/home")
    slate_log.clear()
    StoredMixes.objects.update(model_version="earlier")
    bump_user_revisions([user.pk])
    service.get(f"/users/{user.pk}/home")
    slate_log.flush()
    assert list(Slate.objects.values_list("model_version", flat=True).distinct()) == ["earlier"]


def test_each_screen_counts_as_one_answer_cached_or_not(scene: Scene, service: APIClient) -> None:
    def count() -> float:
        labels = {"strategy": "mixed", "degraded": "false"}
        return REGISTRY.get_sample_value("musicrec_answers_total", labels) or 0.0

    before = count()
    for _ in range(2):
        service.get(f"/users/{scene.listeners[1].pk}/home")
    assert count() == before + 2


def test_a_client_that_has_the_screen_gets_a_304(scene: Scene, as_listener: Callable[[User], APIClient]) -> None:
    api = as_listener(scene.listeners[1])
    first = api.get("/users/me/home")
    assert api.get("/users/me/home", headers={"If-None-Match": first["ETag"]}).status_code == 304
    assert api.get("/users/external:u:1/home").content == first.content


def test_stored_mixes_need_two_queries_and_a_cached_answer_one(scene: Scene, service: APIClient) -> None:
    user, path = scene.listeners[1], f"/users/{scene.listeners[1].pk}/mixes"
    service.get(path)
    bump_user_revisions([user.pk])
    with CaptureQueriesContext(connection) as queries:
        service.get(path)
    assert len(queries) == 2, [query["sql"] for query in queries]  # the context and the mixes; the cards are cached
    with CaptureQueriesContext(connection) as queries:
        service.get(path)
    assert len(queries) == 1


def test_trending_tracks_are_those_of_the_market_that_is_asked_for(
    scene: Scene, catalogue: CatalogueFactory, service: APIClient
) -> None:
    french = User.objects.bulk_create(User(username=f"french-{n}", market="FR") for n in range(8))
    for user in french:
        catalogue.play(user, *scene.tracks["pop"][:6], at=timezone.now() - timedelta(days=1))
    new = User.objects.create_user("new", market="FR")
    shelf = by_id(service.get(f"/users/{new.pk}/mixes"))["trending"]
    assert shelf["title"] == "Trending near you"
    assert {result["track_id"] for result in shelf["results"]} == {track.pk for track in scene.tracks["pop"][:6]}
    elsewhere = by_id(service.get(f"/users/{new.pk}/mixes?market=US"))["trending"]
    assert elsewhere["title"] == "Trending"


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("1/mixes?limit=0", "?limit"),
        (f"1/mixes?limit={LENGTH + 1}", "?limit"),
        ("1/mixes?shelves=2", "?shelves"),
        ("1/home?shelves=21", "?shelves"),
        ("1/home?market=de", "?market"),
        ("1/home?day=2026-01-01", "?day"),
        ("me/home", "{user_id}"),
        ("x/mixes", "{user_id}"),
    ],
)
def test_wrong_parameters_are_refused(service: APIClient, path: str, pointer: str) -> None:
    problem = assert_problem(service.get(f"/users/{path}"), 400)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
