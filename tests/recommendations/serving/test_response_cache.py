"""Answers that are kept, and that they are never those of before."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
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
from tests.people import Catalogue, store_interaction
from tracks.models import Track
from tracks.services import bump_catalogue_revision, save_artist, save_track, set_taken_down

Listeners = Callable[[User], APIClient]


@pytest.fixture
def world(catalogue: Catalogue) -> Catalogue:
    catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return catalogue


@pytest.fixture
def ada(world: Catalogue) -> User:
    return User.objects.get(username="listener-0")


def ask(client: APIClient, path: str = "/recommend/user/me/ml?limit=5", **headers: Any) -> Any:
    return client.get(path, **headers)


def kept_by(text: str, made_of: str = "a", until: float = 3600) -> CachedResponse:
    return CachedResponse(made_of, Revisions(), f'W/"{text}"', "personal", text.encode(), time.time() + until)


class TestTheSameAgain:
    def test_is_the_same_answer_for_one_query(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        first = ask(client)
        with CaptureQueriesContext(connection) as queries:
            second = ask(client)
        assert (second.content, second["ETag"]) == (first.content, first["ETag"])
        assert len(queries) == 1

    def test_is_one_slate(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        given = {ask(client).json()["recommendation_id"] for _ in range(3)}
        slate_log.flush()
        assert {str(slate.pk) for slate in Slate.objects.all()} == given
        assert len(given) == 1

    def test_is_a_304_for_whoever_has_it(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        etag = ask(client)["ETag"]
        with CaptureQueriesContext(connection) as queries:
            again = ask(client, HTTP_IF_NONE_MATCH=etag)
        assert (again.status_code, again.content, again["ETag"], len(queries)) == (304, b"", etag, 1)

    def test_what_nobody_got_to_see_is_no_slate_until_somebody_does(self, ada: User, as_listener: Listeners) -> None:
        client = as_listener(ada)
        etag = ask(client)["ETag"]
        response_cache.forget()  # as another process, whose cache is away
        slate_log.clear()
        monkey = pytest.MonkeyPatch()
        monkey.setattr("recommendations.serving.response_cache._far", lambda: _Nowhere())
        with monkey.context():
            assert ask(client, HTTP_IF_NONE_MATCH=etag).status_code == 304
            slate_log.flush()
            assert not Slate.objects.exists()
            body = ask(client).json()
            slate_log.flush()
        monkey.undo()
        assert str(Slate.objects.get().pk) == body["recommendation_id"]

    def test_off_nothing_is_kept(self, ada: User, as_listener: Listeners, settings: Any) -> None:
        settings.MUSICREC = settings.MUSICREC | {"RESULTS_SECONDS": 0}
        client = as_listener(ada)
        assert ask(client).json()["recommendation_id"] != ask(client).json()["recommendation_id"]

    def test_a_key_gets_the_answer_of_the_listener_too(
        self, ada: User, as_listener: Listeners, service: APIClient
    ) -> None:
        assert ask(as_listener(ada)).content == ask(service, f"/recommend/user/{ada.pk}/ml?limit=5").content


class _Nowhere:
    def find_or_claim(self, *args: Any) -> tuple[None, bool]:
        return None, True

    def share(self, *args: Any) -> None: ...

    def release(self, *args: Any) -> None: ...


CHANGES: dict[str, Callable[[User, Track], object]] = {
    "a play": lambda user, track: Catalogue.play(Catalogue.__new__(Catalogue), user, track),
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
def test_the_very_next_answer_knows_of(change: str, ada: User, as_listener: Listeners) -> None:
    client = as_listener(ada)
    before = ask(client).json()
    track = Track.objects.get(pk=before["results"][0]["track_id"])
    track_id = track.pk
    CHANGES[change](ada, track)
    after = ask(client).json()
    assert after["recommendation_id"] != before["recommendation_id"]
    assert track_id not in [r["track_id"] for r in after["results"]]


def test_a_new_title_a_new_name_and_no_consent_are_seen_at_once(ada: User, as_listener: Listeners) -> None:
    client = as_listener(ada)
    track_id = ask(client).json()["results"][0]["track_id"]
    track = Track.objects.get(pk=track_id)
    track.title = "Another title"
    save_track(track)
    assert ask(client).json()["results"][0]["title"] == "Another title"
    track.artist.name = "Another name"
    save_artist(track.artist)
    assert ask(client).json()["results"][0]["artist_name"] == "Another name"
    User.objects.filter(pk=ada.pk).update(consent=False)
    assert ask(client).json()["fallback_reason"] == "no_consent"


def test_a_block_that_ends_is_over(ada: User, as_listener: Listeners) -> None:
    client = as_listener(ada)
    [first, *_] = ask(client).json()["results"]
    Block.objects.create(
        user=ada, kind="track", target_id=first["track_id"], until=timezone.now() + timedelta(seconds=0.3)
    )
    assert first["track_id"] not in [r["track_id"] for r in ask(client).json()["results"]]
    time.sleep(0.35)
    assert ask(client).json()["results"][0]["track_id"] == first["track_id"]


def test_another_version_answers_anew(ada: User, as_listener: Listeners) -> None:
    client = as_listener(ada)
    before = ask(client).json()
    assert run_training("test", force=True).status == "Published"
    after = ask(client).json()
    assert after["model_version"] != before["model_version"]
    assert after["recommendation_id"] != before["recommendation_id"]


@pytest.mark.parametrize("path", ["/recommend/user/me/ml", "/recommend/user/me", "/recommend/similar/{track}"])
def test_an_answer_costs_two_queries_at_most(path: str, ada: User, as_listener: Listeners) -> None:
    client, track = as_listener(ada), Track.objects.first()
    assert track is not None
    path = path.format(track=track.pk)
    ask(client, path)  # the process knows the tracks from now on
    for user in (ada, User.objects.get(username="listener-2")):
        client = as_listener(user)
        with CaptureQueriesContext(connection) as queries:
            assert ask(client, path).status_code == 200
        assert len(queries) <= 2, [q["sql"] for q in queries]
    Catalogue.play(Catalogue.__new__(Catalogue), user, track)
    with CaptureQueriesContext(connection) as queries:
        assert ask(client, path).status_code == 200
    assert len(queries) <= 2, [q["sql"] for q in queries]


class TestKeeping:
    def test_is_bounded(self) -> None:
        here = ResponseCache(near_bytes=100)
        for n in range(50):
            here.answer(f"q{n}", "a", Revisions(), lambda: kept_by("x" * 30))
        assert sum(len(kept.body) for kept in here._near.values()) <= 100

    def test_ends(self) -> None:
        here = ResponseCache()
        here.answer("q", "a", Revisions(), lambda: kept_by("old", until=-1))
        assert here.answer("q", "a", Revisions(), lambda: kept_by("new")).body == b"new"
        assert here.known("q") == Revisions()

    def test_of_another_state_is_not_given(self) -> None:
        here = ResponseCache()
        here.answer("q", "a", Revisions(), lambda: kept_by("before"))
        assert here.answer("q", "b", Revisions(), lambda: kept_by("after", "b")).body == b"after"

    def test_of_those_who_ask_at_once_one_computes(self) -> None:
        here, computed, given = ResponseCache(), [], []

        def compute() -> CachedResponse:
            computed.append(1)
            time.sleep(0.2)
            return kept_by("once")

        askers = [
            threading.Thread(target=lambda: given.append(here.answer("q", "a", Revisions(), compute))) for _ in range(8)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert (len(computed), {kept.body for kept in given}) == (1, {b"once"})

    def test_a_failure_is_of_the_one_who_computes(self) -> None:
        here = ResponseCache()

        def broken() -> CachedResponse:
            raise RuntimeError

        with pytest.raises(RuntimeError):
            here.answer("failing", "a", Revisions(), broken)
        began = time.monotonic()
        assert here.answer("failing", "a", Revisions(), lambda: kept_by("good")).body == b"good"
        assert time.monotonic() - began < 0.5


@pytest.mark.skipif(
    "not __import__('django.conf').conf.settings.REDIS_URL", reason="without Redis, processes share nothing"
)
class TestSharing:
    def test_another_process_gives_the_same(self) -> None:
        here, there = ResponseCache(), ResponseCache()
        kept = here.answer("shared", "a", Revisions(), lambda: replace(kept_by("one"), fresh=True))
        here.seen("shared", kept)
        assert there.answer("shared", "a", Revisions(), lambda: kept_by("two")).body == b"one"
        assert there.answer("shared", "b", Revisions(), lambda: kept_by("two", "b")).body == b"two"

    def test_another_process_waits_for_the_one_that_computes(self) -> None:
        here, there, given = ResponseCache(), ResponseCache(), []

        def slow() -> CachedResponse:
            time.sleep(0.3)
            return replace(kept_by("slow"), fresh=True)

        def first() -> None:
            here.seen("slow", here.answer("slow", "a", Revisions(), slow))

        computing = threading.Thread(target=first)
        computing.start()
        time.sleep(0.1)
        given.append(there.answer("slow", "a", Revisions(), lambda: kept_by("impatient")).body)
        computing.join()
        assert given == [b"slow"]

    def test_a_process_that_died_computing_is_not_waited_for_long(self) -> None:
        from recommendations.serving.response_cache import WAIT_SECONDS, _far, _name

        _far().find_or_claim(_name("dead", "a"), WAIT_SECONDS)
        began = time.monotonic()
        assert ResponseCache().answer("dead", "a", Revisions(), lambda: kept_by("alive")).body == b"alive"
        assert time.monotonic() - began < WAIT_SECONDS + 1


def test_the_setting_says_how_long() -> None:
    assert django_settings.MUSICREC["RESULTS_SECONDS"] == 3600
