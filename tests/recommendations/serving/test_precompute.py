"""Rankings that are computed before anybody asks: only where processes share a Redis."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from common.redis_client import redis_client
from common.stale_listeners import REDIS_KEY, add_stale_listeners, pop_stale_listeners
from recommendations.serving import precompute, precomputed, slate
from recommendations.serving.precompute import Progress, precompute_active
from recommendations.serving.response_cache import response_cache
from recommendations.tasks import precompute_stale
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service
from tests.people import CatalogueFactory
from tracks.models import Track
from tracks.services import set_taken_down

pytestmark = pytest.mark.skipif(not django_settings.REDIS_URL, reason="without Redis there is nowhere to keep them")


@pytest.fixture
def world(catalogue: CatalogueFactory, settings: Any) -> CatalogueFactory:
    users, tracks = catalogue.checkerboard()
    for user in users:  # lately
        catalogue.play(user, tracks[0], at=timezone.now() - timedelta(days=1))
    assert run_training("test").status == "Published"
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 1000}
    redis_client().delete(REDIS_KEY)
    return catalogue


def ask(service: APIClient, user: User, **query: Any) -> Any:
    response_cache.clear()
    return service.get(f"/recommend/user/{user.pk}/ml", {"placement": str(timezone.now().microsecond)} | query).json()


def results_of(answer: Any) -> Any:
    return answer["strategy"], answer["results"]


def active() -> None:
    place: Progress | None = Progress(str(version_in_service()))
    while place:
        place = precompute_active(place)


def test_what_was_computed_ahead_is_what_would_be_computed(
    world: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = list(User.objects.filter(username__startswith="listener"))
    before = {user: results_of(ask(service, user)) for user in users}
    active()
    monkeypatch.setattr(slate, "rank_tracks", None)  # computing is an error from now on
    for user in users:
        assert results_of(ask(service, user)) == before[user]
        assert results_of(ask(service, user, limit=3))[1] == before[user][1][:3]


def test_a_batch_ends_and_says_where_to_go_on(world: CatalogueFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precompute, "BATCH", 8)
    version, warmed = str(version_in_service()), []
    monkeypatch.setattr(precompute, "precompute_rankings", warmed.extend)
    place: Progress | None = Progress(version)
    while place:
        place = precompute_active(place)
    assert warmed == list(
        User.objects.filter(username__startswith="listener").order_by("pk").values_list("pk", flat=True)
    )
    assert precompute_active(Progress("another", 0)) is None


def test_no_more_than_the_setting_says(world: CatalogueFactory, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 5}
    warmed: list[int] = []
    monkeypatch.setattr(precompute, "precompute_rankings", warmed.extend)
    active()
    assert len(warmed) == 5


def test_who_plays_is_computed_again(
    world: CatalogueFactory,
    service: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    active()
    user = User.objects.get(username="listener-1")
    first = ask(service, user)["results"][0]["track_id"]
    with django_capture_on_commit_callbacks(execute=True):
        world.play(user, Track.objects.get(pk=first), at=timezone.now())
    expected = results_of(ask(service, user))
    assert first not in [r["track_id"] for r in expected[1]]
    assert precompute_stale() == 1
    assert pop_stale_listeners(10) == []
    monkeypatch.setattr(slate, "rank_tracks", None)
    assert results_of(ask(service, user)) == expected


def test_another_question_is_computed(world: CatalogueFactory, service: APIClient) -> None:
    active()
    user = User.objects.get(username="listener-1")
    assert [ask(service, user, **q)["results"] != [] for q in ({"market": "DE"}, {"limit": 60}, {"explain": True})]
    played = ask(service, user, exclude_played="false")["results"]
    assert len(played) > len(ask(service, user)["results"]) or played != []


def test_a_track_taken_down_since_is_not_offered(world: CatalogueFactory, service: APIClient) -> None:
    active()
    user = User.objects.get(username="listener-1")
    first = ask(service, user)["results"][0]["track_id"]
    set_taken_down([first], timezone.now())
    assert first not in [r["track_id"] for r in ask(service, user)["results"]]


def test_off_nothing_is_computed(world: CatalogueFactory, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 0}
    monkeypatch.setattr(precompute, "precompute_rankings", None)
    assert precompute_active(Progress(str(version_in_service()))) is None
    assert precompute.precompute_stale() == 0
    assert precomputed.load_ranking(precomputed.precomputed_request(1), ()) is None


def test_no_more_wait_to_be_computed_again_than_there_is_room_for(
    world: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.stale_listeners.MAX_LISTENERS", 5)
    for _ in range(3):
        add_stale_listeners(range(1, 9))
    assert len(pop_stale_listeners(100)) == 5
