"""Cached answers are reused, and never outdated."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache as shared_cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from experiments.exposures.log import slate_log
from experiments.models import Slate
from interactions.models import Block
from recommendations.serving.request_context import Revisions
from recommendations.serving.response_cache import CachedResponse, ResponseCache, response_cache
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_interaction
from tracks.models import Track
from tracks.services import bump_catalogue_revision, save_artist, save_track, set_taken_down

Listeners = Callable[[User], APIClient]


@pytest.fixture
def trained_catalogue(catalogue: CatalogueFactory) -> CatalogueFactory:
    catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return catalogue


@pytest.fixture
def ada(trained_catalogue: CatalogueFactory) -> User:
    return User.objects.get(username="listener-0")


def get_answer(client: APIClient, path: str = "/recommend/user/me/ml?limit=5", **headers: Any) -> Any:
    return client.get(path, **headers)


def cached_response(
    text: str, dependencies: str = "a", seconds: float = 3600, delivered: bool = True
) -> CachedResponse:
    expires_at = time.time() + seconds
    return CachedResponse(
        dependencies, Revisions(1, 1), f'W/"{text}"', "personal", text.encode(), expires_at, delivered=delivered
    )


class TestRepeatedRequest:
    def test_returns_the_same_answer_with_one_query(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        first = get_answer(client)
        with CaptureQueriesContext(connection) as queries:
            second = get_answer(client)
        assert (second.content, second["ETag"]) == (first.content, first["ETag"])
        assert len(queries) == 1

    def test_is_logged_as_one_slate(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        received = {get_answer(client).json()["recommendation_id"] for _ in range(3)}
        slate_log.flush()
        assert {str(slate.pk) for slate in Slate.objects.all()} == received
        assert len(received) == 1

    def test_is_a_304_for_a_client_that_has_the_answer(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        etag = get_answer(client)["ETag"]
        with CaptureQueriesContext(connection) as queries:
            again = get_answer(client, HTTP_IF_NONE_MATCH=etag)
        assert (again.status_code, again.content, again["ETag"], len(queries)) == (304, b"", etag, 1)

    def test_logs_a_slate_only_when_somebody_receives_it(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        etag = get_answer(client)["ETag"]
        response_cache.clear()  # as if another process without a shared cache answered
        shared_cache.clear()
        slate_log.clear()
        assert get_answer(client, HTTP_IF_NONE_MATCH=etag).status_code == 304
        slate_log.flush()
        assert not Slate.objects.exists()
        body = get_answer(client).json()
        slate_log.flush()
        assert str(Slate.objects.get().pk) == body["recommendation_id"]

    def test_is_computed_again_when_the_cache_is_off(self, ada: User, as_listener: Listeners, settings: Any) -> None:
        settings.MUSICREC = settings.MUSICREC | {"RESULTS_SECONDS": 0}
        client = as_listener(ada)
        assert get_answer(client).json()["recommendation_id"] != get_answer(client).json()["recommendation_id"]

    def test_returns_the_same_answer_to_a_service_key(
        self, ada: User, as_listener: Listeners, service: APIClient
    ) -> None:
        assert (
            get_answer(as_listener(ada)).content == get_answer(service, f"/recommend/user/{ada.pk}/ml?limit=5").content
        )


CHANGES: dict[str, Callable[[User, Track], object]] = {
    "a play": lambda user, track: CatalogueFactory.play(user, track),
    "a dislike": lambda user, track: store_interaction(user, track, "dislike", at=timezone.now()),
    "a block": lambda user, track: Block.objects.create(user=user, kind="track", target_id=track.pk),
    "a take-down": lambda user, track: set_taken_down([track.pk], timezone.now()),
    "a deletion": lambda user, track: (track.delete(), bump_catalogue_revision()),
    "a market": lambda user, track: (
        User.objects.filter(pk=user.pk).update(market="DE"),
        Track.objects.filter(pk=track.pk).update(markets="AT CH"),
        bump_catalogue_revision(),
    ),
    "an explicit track": lambda user, track: (
        User.objects.filter(pk=user.pk).update(allow_explicit=False),
        Track.objects.filter(pk=track.pk).update(explicit=True),
        bump_catalogue_revision(),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_answer_reflects_a_change(change: str, ada: User, as_listener: Listeners) -> None:
    client = as_listener(ada)
    before = get_answer(client).json()
    track = Track.objects.get(pk=before["results"][0]["track_id"])
    track_id = track.pk
    CHANGES[change](ada, track)
    after = get_answer(client).json()
    assert after["recommendation_id"] != before["recommendation_id"]
    assert track_id not in [r["track_id"] for r in after["results"]]


def test_a_new_title_a_new_name_and_withdrawn_consent_show_in_the_next_answer(
    ada: User, as_listener: Listeners
) -> None:
    client = as_listener(ada)
    track_id = get_answer(client).json()["results"][0]["track_id"]
    track = Track.objects.get(pk=track_id)
    track.title = "Another title"
    save_track(track)
    assert get_answer(client).json()["results"][0]["title"] == "Another title"
    track.artist.name = "Another name"
    save_artist(track.artist)
    assert get_answer(client).json()["results"][0]["artist_name"] == "Another name"
    User.objects.filter(pk=ada.pk).update(consent=False)
    assert get_answer(client).json()["fallback_reason"] == "no_consent"


def test_an_expired_block_no_longer_applies(ada: User, as_listener: Listeners) -> None:
    client = as_listener(ada)
    [first, *_] = get_answer(client).json()["results"]
    Block.objects.create(
        user=ada, kind="track", target_id=first["track_id"], until=timezone.now() + timedelta(seconds=0.3)
    )
    assert first["track_id"] not in [r["track_id"] for r in get_answer(client).json()["results"]]
    time.sleep(0.35)
    assert get_answer(client).json()["results"][0]["track_id"] == first["track_id"]


def test_a_new_version_leads_to_a_new_answer(ada: User, as_listener: Listeners) -> None:
    client = as_listener(ada)
    before = get_answer(client).json()
    assert run_training("test", force=True).status == "Published"
    after = get_answer(client).json()
    assert after["model_version"] != before["model_version"]
    assert after["recommendation_id"] != before["recommendation_id"]


@pytest.mark.parametrize("path", ["/recommend/user/me/ml", "/recommend/user/me", "/recommend/similar/{track}"])
def test_an_answer_costs_two_queries_at_most(path: str, ada: User, as_listener: Listeners) -> None:
    client, track = as_listener(ada), Track.objects.first()
    assert track is not None
    path = path.format(track=track.pk)
    get_answer(client, path)  # fills the process's cache of track cards
    for user in (ada, User.objects.get(username="listener-2")):
        client = as_listener(user)
        with CaptureQueriesContext(connection) as queries:
            assert get_answer(client, path).status_code == 200
        assert len(queries) <= 2, [q["sql"] for q in queries]
    CatalogueFactory.play(user, track)
    with CaptureQueriesContext(connection) as queries:
        assert get_answer(client, path).status_code == 200
    assert len(queries) <= 2, [q["sql"] for q in queries]


class TestLocalCache:
    def test_it_is_bounded(self) -> None:
        cache = ResponseCache(local_bytes=100)
        for n in range(50):
            cache.add(f"request {n}", cached_response("x" * 30))
        assert sum(len(entry.body) for entry in cache._local.values()) <= 100

    def test_an_entry_expires(self) -> None:
        cache = ResponseCache()
        cache.add("request", cached_response("old", seconds=-1))
        assert cache.get_local("request", "a") is None
        assert cache.get_local("request") is None
        cache.add("request", cached_response("new"))
        assert cache.get_local("request", "a").body == b"new"  # type: ignore[union-attr]
        assert cache.get_local("request").revisions == Revisions(1, 1)  # type: ignore[union-attr]

    def test_an_entry_with_other_dependencies_is_not_returned(self) -> None:
        cache = ResponseCache()
        cache.add("request", cached_response("before"))
        assert cache.get_local("request", "b") is None

    def test_concurrent_equal_requests_compute_the_answer_once(self) -> None:
        cache, computed, bodies = ResponseCache(), [], []

        def answer_request() -> None:
            with cache.computing("request"):
                entry = cache.get_local("request", "a")
                if entry is None:
                    computed.append(1)
                    time.sleep(0.2)
                    entry = cached_response("once")
                    cache.add("request", entry)
            bodies.append(entry.body)

        threads = [threading.Thread(target=answer_request) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(computed), set(bodies)) == (1, {b"once"})

    def test_after_a_failure_the_next_request_computes(self) -> None:
        cache = ResponseCache()
        with pytest.raises(RuntimeError), cache.computing("failing"):
            raise RuntimeError
        started = time.monotonic()
        with cache.computing("failing"):
            cache.add("failing", cached_response("good"))
        assert cache.get_local("failing", "a").body == b"good"  # type: ignore[union-attr]
        assert time.monotonic() - started < 0.5


@pytest.mark.skipif(
    "not __import__('django.conf').conf.settings.REDIS_URL", reason="processes share cached answers through Redis"
)
class TestSharedCache:
    def test_another_process_returns_a_delivered_answer(self) -> None:
        here, there = ResponseCache(), ResponseCache()
        here.deliver("request", cached_response("one", delivered=False))
        assert there.get_shared("request", "a", Revisions()).body == b"one"  # type: ignore[union-attr]
        assert there.get_local("request", "a").body == b"one"  # type: ignore[union-attr]
        assert there.get_shared("request", "b", Revisions()) is None


def test_a_shared_answer_may_expire_on_a_whole_second_as_with_a_session(settings: Any) -> None:
    settings.REDIS_URL = settings.REDIS_URL or "redis://127.0.0.1:9/0"  # the cache of Django in any case
    here, there = ResponseCache(), ResponseCache()
    until = int(time.time()) + 60
    here.deliver("session", replace(cached_response("one", delivered=False), expires_at=until))
    found = there.get_shared("session", "a", Revisions())
    assert found is not None
    assert (found.body, found.expires_at) == (b"one", until)


def test_answers_are_cached_for_an_hour_by_default() -> None:
    assert django_settings.MUSICREC["RESULTS_SECONDS"] == 3600
