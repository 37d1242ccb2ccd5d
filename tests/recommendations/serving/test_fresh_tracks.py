"""Tracks that came after the training of the version in service."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs
from engine.listener_query import ListenerState, plan_query
from engine.pipeline import PERSONAL, Trace, recommend
from interactions.training_data import iter_play_chunks
from recommendations.serving import model_cache as model_cache_module
from recommendations.serving.model_cache import ModelCache, model_cache
from recommendations.training.run import run_training
from tests.people import CatalogueFactory
from tracks.models import Track
from tracks.selectors import catalogue_revision
from tracks.services import set_taken_down
from tracks.upserts import upsert_tracks
from tracks.vectors import upsert_vectors


@pytest.fixture
def user(catalogue: CatalogueFactory) -> User:
    users, _ = catalogue.checkerboard()
    run_training("test")
    return users[0]


def add_track(external_id: str = "new", **fields: Any) -> Track:
    item = {"external_id": external_id, "title": f"Fresh {external_id}", "artist": {"external_id": "t:artist"}} | fields
    [outcome] = upsert_tracks([item])
    assert outcome.status == "created"
    return Track.objects.get(external_id=external_id)


def extended_ids(cache: ModelCache = model_cache) -> list[int]:
    """Return the ids of the tracks by which the version is extended."""
    loaded = cache.current()
    trained = loaded.trained or loaded.bundle
    ids: list[int] = loaded.bundle.items.ids[len(trained.items) :].tolist()
    return ids


def get_slate(service: APIClient, user: User) -> Any:
    return service.get(f"/recommend/user/{user.pk}/ml?limit=5")


def test_the_next_request_knows_a_track_that_was_added_edited_or_deleted(service: APIClient, user: User) -> None:
    get_slate(service, user)
    assert extended_ids() == []
    track = add_track(released_on=timezone.now().date())
    first_digest = model_cache.current().digest
    get_slate(service, user)
    bundle, digest = model_cache.current().bundle, model_cache.current().digest
    assert (extended_ids(), digest == first_digest) == ([track.pk], False)
    assert bundle.features.artist[-1] == track.artist_id
    assert bundle.popularity[-1] == 0

    upsert_vectors("clap", [{"id": track.pk, "vector": np.array([0.5, 1.0])}])
    get_slate(service, user)
    assert model_cache.current().digest not in (digest, first_digest)

    track.delete()
    add_track("another")
    get_slate(service, user)
    assert extended_ids() == [Track.objects.get(external_id="another").pk]


def test_a_fresh_track_has_a_vector_by_its_content(service: APIClient, catalogue: CatalogueFactory) -> None:
    users, tracks = catalogue.checkerboard()
    tags = [{"name": name, "kind": "genre", "weight": 1} for name in ("even", "odd")]
    upsert_tracks([{"id": track.pk, "tags": [tags[n % 2]]} for n, track in enumerate(tracks)])
    run_training("test")
    get_slate(service, users[0])
    fresh = [add_track(f"new {n}", tags=[tag]) for n, tag in enumerate(tags)]
    get_slate(service, users[0])
    bundle = model_cache.current().bundle
    scores = bundle.vectors(bundle.items.known_rows([track.pk for track in fresh])) @ bundle.user_factors.T
    is_even = np.isin(bundle.users.ids, [user.pk for user in users[::2]])
    assert (scores[0, is_even] > scores[1, is_even]).all()
    assert (scores[1, ~is_even] > scores[0, ~is_even]).all()


def test_a_new_version_knows_the_tracks_itself(service: APIClient, user: User) -> None:
    get_slate(service, user)
    track = add_track()
    get_slate(service, user)
    run_training("test", force=True)
    get_slate(service, user)
    assert extended_ids() == []
    assert model_cache.current().bundle.items.row(track.pk) is not None


def test_processes_that_have_read_the_same_catalogue_have_the_same_digest(service: APIClient, user: User) -> None:
    other = ModelCache()
    digests = []
    for cache in (model_cache, other):
        cache.current()
        digests.append(cache.current().digest)
    add_track()
    for cache in (model_cache, other):
        cache.notice_revision(catalogue_revision())
        digests.append(cache.current().digest)
    assert digests[0] == digests[1]
    assert digests[2] == digests[3] != digests[0]
    assert extended_ids() == extended_ids(other) == [Track.objects.get(external_id="new").pk]


def test_an_unchanged_catalogue_is_not_read_again(
    service: APIClient, user: User, django_assert_num_queries: Any
) -> None:
    get_slate(service, user)
    bundle = model_cache.current().bundle
    with django_assert_num_queries(1):  # the context
        get_slate(service, user)
    assert model_cache.current().bundle is bundle


def test_only_the_newest_tracks_extend_a_version(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_cache_module, "MAX_FRESH_TRACKS", 2)
    tracks = [add_track(str(number)) for number in range(4)]
    get_slate(service, user)
    assert extended_ids() == [track.pk for track in tracks[2:]]


def test_with_a_thread_a_slow_reading_is_left_to_it(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    get_slate(service, user)
    # Without a log of slates, whose thread would go on writing into the database of later tests.
    settings.MUSICREC = settings.MUSICREC | {"MODEL_POLL_SECONDS": 60, "SLATE_BUFFER": 0}
    monkeypatch.setattr(model_cache, "_pid", model_cache_module.os.getpid())  # no thread is started
    monkeypatch.setattr(model_cache, "_extension_seconds", 1.0)
    track = add_track()
    get_slate(service, user)
    assert extended_ids() == []
    monkeypatch.setattr(model_cache, "_extension_due", 0.0)
    monkeypatch.setattr(model_cache_module, "wait_for_reload", lambda seconds: iter([None]))
    monkeypatch.setattr(model_cache_module.connection, "close", lambda: None)
    model_cache._watch()
    assert extended_ids() == [track.pk]


def test_without_a_model_new_tracks_are_offered_by_the_next_request(
    service: APIClient, catalogue: CatalogueFactory, alice: User
) -> None:
    catalogue.tracks(2)
    assert len(get_slate(service, alice).json()["results"]) == 2
    track = add_track(album={"title": "Album"})
    assert track.pk in [result["track_id"] for result in get_slate(service, alice).json()["results"]]
    features = model_cache.current().bundle.features
    assert features.album.tolist()[-1] == track.album_id


def test_features_of_the_catalogue_are_read_again_only_after_a_change(
    catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    catalogue.tracks(2)
    model_cache.refresh_popularity()
    features = model_cache.current().bundle.features
    model_cache.refresh_popularity()
    assert model_cache.current().bundle.features is features
    add_track()
    model_cache.refresh_popularity()
    assert len(model_cache.current().bundle.features) == 3


def test_tracks_that_more_listeners_play_than_usual_are_trending(
    catalogue: CatalogueFactory, service: APIClient
) -> None:
    users, tracks = catalogue.checkerboard()
    now = timezone.now()
    for user in users[:6]:
        catalogue.play(user, tracks[0], at=now - timedelta(hours=2))
        catalogue.play(user, tracks[1], at=now - timedelta(hours=2))
    for user in users:
        for week in range(1, 5):
            catalogue.play(user, tracks[1], at=now - timedelta(weeks=week, hours=2))
    catalogue.play(users[0], tracks[2], at=now - timedelta(hours=2))  # too few listeners
    run_training("test")
    get_slate(service, users[0])
    bundle = model_cache.current().bundle
    assert bundle.items.ids[bundle.live.trending_rows].tolist() == [tracks[0].pk, tracks[1].pk]
    without_model = model_cache.popularity_model().bundle
    assert without_model.items.ids[without_model.live.trending_rows].tolist() == [tracks[0].pk, tracks[1].pk]


def test_a_track_of_this_minute_has_similar_tracks_and_reaches_those_who_like_its_kind(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    users, tracks = catalogue.checkerboard()
    tags = [{"name": name, "kind": "genre", "weight": 1} for name in ("even", "odd")]
    upsert_tracks([{"id": track.pk, "tags": [tags[n % 2]]} for n, track in enumerate(tracks)])
    run_training("test")
    get_slate(service, users[0])
    fresh = [add_track(f"new {n}", tags=[tag]) for n, tag in enumerate(tags)]

    similar = service.get(f"/recommend/similar/{fresh[0].pk}?limit=5").json()["results"]
    assert {result["track_id"] for result in similar} <= {track.pk for track in tracks[::2]}
    for number, user in enumerate(users):
        results = service.get(f"/recommend/user/{user.pk}/ml?limit=13").json()["results"]
        shown = [result["track_id"] for result in results if result["source"] == "content"]
        assert shown == [fresh[number % 2].pk, fresh[1 - number % 2].pk]
        assert fresh[number % 2].pk in [result["track_id"] for result in results[:2]]

    set_taken_down([fresh[0].pk], timezone.now())
    fresh[1].delete()
    gone = {fresh[0].pk, fresh[1].pk}
    for user in users[:2]:
        assert not gone & {result["track_id"] for result in get_slate(service, user).json()["results"]}


def test_plays_since_training_move_the_vector_of_a_fresh_track_without_a_new_version(
    service: APIClient, catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, tracks = catalogue.checkerboard()
    tags = [{"name": name, "kind": "genre", "weight": 1} for name in ("even", "odd")]
    upsert_tracks([{"id": track.pk, "tags": [tags[n % 2]]} for n, track in enumerate(tracks)])
    run_training("test")
    version = get_slate(service, users[0]).json()["model_version"]
    fresh = add_track(tags=[tags[0]])

    def odd_scores() -> Any:
        monkeypatch.setattr(model_cache_module, "NEW_PLAYS_SECONDS", model_cache_module.NEW_PLAYS_SECONDS + 1)
        assert get_slate(service, users[0]).json()["model_version"] == version
        bundle = model_cache.current().bundle
        is_odd = np.isin(bundle.users.ids, [user.pk for user in users[1::2]])
        return (bundle.user_factors[is_odd] @ bundle.vectors(bundle.items.known_rows([fresh.pk]))[0]).mean()

    by_content = odd_scores()
    for user in users[1::2]:
        catalogue.play(user, fresh, at=timezone.now())
    moved = odd_scores()
    assert moved > by_content + 0.05
    User.objects.filter(pk__in=[user.pk for user in users[1::2]]).update(consent=False)
    add_track("another")
    assert odd_scores() == pytest.approx(by_content)


def test_a_process_keeps_what_was_trending_while_another_one_counts(
    catalogue: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, tracks = catalogue.checkerboard()
    run_training("test")
    monkeypatch.setattr(model_cache_module, "load_trending", lambda: [(tracks[0].pk, 2.0)])
    get_slate(service, users[0])
    digest = model_cache.current().digest
    monkeypatch.setattr(model_cache_module, "load_trending", lambda: None)
    monkeypatch.setattr(model_cache, "_trending_until", 0.0)
    get_slate(service, users[0])
    bundle = model_cache.current().bundle
    assert bundle.items.ids[bundle.live.trending_rows].tolist() == [tracks[0].pk]
    assert model_cache.current().digest == digest


def test_a_request_leaves_counting_what_is_trending_to_the_thread(
    catalogue: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    users, tracks = catalogue.checkerboard()
    run_training("test")
    get_slate(service, users[0])
    settings.MUSICREC = settings.MUSICREC | {"MODEL_POLL_SECONDS": 60, "SLATE_BUFFER": 0}
    monkeypatch.setattr(model_cache, "_pid", model_cache_module.os.getpid())  # no thread is started
    counted: list[str] = []

    def count() -> list[tuple[int, float]]:
        counted.append("now")
        return [(tracks[0].pk, 2.0)]

    monkeypatch.setattr(model_cache_module, "load_trending", count)
    monkeypatch.setattr(model_cache, "_trending_until", 0.0)
    add_track()
    results = service.get(f"/recommend/user/{users[0].pk}/ml?limit=50").json()["results"]
    assert {result["track_id"] for result in results} >= {track.pk for track in tracks}
    assert model_cache.catalogue_revision == catalogue_revision()  # popular tracks were read to fill the slate
    assert counted == []

    monkeypatch.setattr(model_cache, "_extension_due", 0.0)
    monkeypatch.setattr(model_cache_module, "wait_for_reload", lambda seconds: iter([None, None]))
    monkeypatch.setattr(model_cache_module.connection, "close", lambda: None)
    model_cache._watch()
    assert counted == ["now"]
    for bundle in (model_cache.current().bundle, model_cache.popularity_model().bundle):
        assert bundle.items.ids[bundle.live.trending_rows].tolist() == [tracks[0].pk]


def test_an_extension_that_failed_is_made_later(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ModelCache()
    cache.current()
    tracks = [Track.objects.order_by("pk")[0].pk]
    with monkeypatch.context() as failing:
        failing.setattr(model_cache_module, "load_trending", lambda: [(tracks[0], 2.0)])
        failing.setattr(model_cache_module, "load_newest_track_ids", _raise_operational_error)
        failing.setattr(cache, "_trending_until", 0.0)
        with pytest.raises(OperationalError):
            cache.current()
    bundle = cache.current().bundle
    assert bundle.items.ids[bundle.live.trending_rows].tolist() == tracks


def _raise_operational_error(*args: Any) -> None:
    raise OperationalError("the database does not answer")


def test_features_of_a_large_catalogue_are_not_read_at_each_change(
    catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    [track] = catalogue.tracks(1)
    monkeypatch.setattr(model_cache_module, "QUICK_SECONDS", -1.0)  # every reading is a slow one
    monkeypatch.setattr(model_cache_module, "MAX_LOAD", 1e-9)
    cache = ModelCache()
    cache.refresh_popularity()
    features = cache.popularity_model().bundle.features
    upsert_tracks([{"id": track.pk, "released_on": timezone.now().date()}])
    cache.refresh_popularity()
    assert cache.popularity_model().bundle.features is features
    monkeypatch.setattr(cache, "_features_due", 0.0)  # some time later
    cache.refresh_popularity()
    assert cache.popularity_model().bundle.features.released[0] > features.released[0]


def test_a_new_release_by_an_artist_whom_they_play_is_a_candidate_of_its_sources_and_says_so(
    service: APIClient, catalogue: CatalogueFactory
) -> None:
    users, tracks = catalogue.checkerboard()
    tags = [{"name": name, "kind": "genre", "weight": 1} for name in ("even", "odd")]
    upsert_tracks([{"id": track.pk, "tags": [tags[n % 2]]} for n, track in enumerate(tracks)])
    run_training("test")
    now = timezone.now()
    release = add_track("release", tags=[tags[0]], released_on=now.date())
    results = service.get(f"/recommend/user/{users[0].pk}/ml?limit=20&explain=true").json()["results"]
    [result] = [result for result in results if result["track_id"] == release.pk]
    assert (result["source"], result["explanation"]["kind"]) == ("content", "new_release")
    assert result["explanation"]["text"] == f"New from {tracks[0].artist.name}, whom you play"

    plays = Plays.concatenate(list(iter_play_chunks()))
    plays = plays.where(plays.user == users[0].pk)
    listener = ListenerState(users[0].pk, UserItemPairs.from_listener(plays), len(plays), int(plays.time.max()))
    bundle, trace = model_cache.current().bundle, Trace()
    query, policy = plan_query(bundle, listener, limit=20, now=int(now.timestamp()))
    recommend(bundle, query, policy, trace)
    assert {source.source for source in trace.sources} >= set(PERSONAL.sources)
    [candidate] = [candidate for candidate in trace.candidates if candidate.track_id == release.pk]
    assert candidate.sources == ("content", "new_releases")
