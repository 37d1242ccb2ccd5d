"""Rankings that are computed before they are requested; this needs a Redis that the processes share."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from common.redis_client import redis_client
from common.stale_listeners import REDIS_KEY, add_stale_listeners, pop_stale_listeners
from engine.pipeline import PERSONAL
from recommendations.policies.services import save_policy, use_policy
from recommendations.serving import precompute, precomputed, slate
from recommendations.serving.precompute import Progress, precompute_active
from recommendations.serving.response_cache import response_cache
from recommendations.serving.slate import rank
from recommendations.tasks import precompute_stale
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service
from tests.people import CatalogueFactory
from tracks.models import Track
from tracks.services import set_taken_down

pytestmark = pytest.mark.skipif(not django_settings.REDIS_URL, reason="precomputed rankings are stored in Redis")


@pytest.fixture
def trained_catalogue(catalogue: CatalogueFactory, settings: Any) -> CatalogueFactory:
    users, tracks = catalogue.checkerboard()
    for user in users:  # only listeners with recent plays are precomputed
        catalogue.play(user, tracks[0], at=timezone.now() - timedelta(days=1))
    assert run_training("test").status == "Published"
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 1000}
    redis_client().delete(REDIS_KEY)
    return catalogue


def request_recommendations(service: APIClient, user: User, **query: Any) -> Any:
    response_cache.clear()
    return service.get(f"/recommend/user/{user.pk}/ml", {"placement": str(timezone.now().microsecond)} | query).json()


def strategy_and_results(answer: Any) -> Any:
    return answer["strategy"], answer["results"]


def precompute_all_active() -> None:
    progress: Progress | None = Progress(str(version_in_service()))
    while progress:
        progress = precompute_active(progress)


def test_a_precomputed_answer_equals_the_computed_one(
    trained_catalogue: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = list(User.objects.filter(username__startswith="listener"))
    before = {user: strategy_and_results(request_recommendations(service, user)) for user in users}
    precompute_all_active()
    monkeypatch.setattr(slate, "rank", None)  # computing is an error from now on
    for user in users:
        assert strategy_and_results(request_recommendations(service, user)) == before[user]
        assert strategy_and_results(request_recommendations(service, user, limit=3))[1] == before[user][1][:3]


def test_each_batch_returns_where_the_next_one_continues(
    trained_catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precompute, "BATCH", 8)
    version, precomputed_ids = str(version_in_service()), []
    monkeypatch.setattr(precompute, "precompute_rankings", precomputed_ids.extend)
    progress: Progress | None = Progress(version)
    while progress:
        progress = precompute_active(progress)
    assert precomputed_ids == list(
        User.objects.filter(username__startswith="listener").order_by("pk").values_list("pk", flat=True)
    )
    assert precompute_active(Progress("another", 0)) is None


def test_the_setting_limits_how_many_listeners_are_precomputed(
    trained_catalogue: CatalogueFactory, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 5}
    precomputed_ids: list[int] = []
    monkeypatch.setattr(precompute, "precompute_rankings", precomputed_ids.extend)
    precompute_all_active()
    assert len(precomputed_ids) == 5


def test_a_listener_with_a_new_play_is_precomputed_again(
    trained_catalogue: CatalogueFactory,
    service: APIClient,
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    precompute_all_active()
    user = User.objects.get(username="listener-1")
    first = request_recommendations(service, user)["results"][0]["track_id"]
    with django_capture_on_commit_callbacks(execute=True):
        trained_catalogue.play(user, Track.objects.get(pk=first), at=timezone.now())
    expected = strategy_and_results(request_recommendations(service, user))
    assert first not in [r["track_id"] for r in expected[1]]
    assert precompute_stale() == 1
    assert pop_stale_listeners(10) == []
    monkeypatch.setattr(slate, "rank", None)
    assert strategy_and_results(request_recommendations(service, user)) == expected


def test_a_precomputed_ranking_ends_with_the_session_that_it_counts(
    trained_catalogue: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, track = User.objects.get(username="listener-1"), Track.objects.get(title="Song 3")
    trained_catalogue.play(user, track, at=timezone.now())
    precompute_all_active()
    computed: list[Any] = []
    monkeypatch.setattr(slate, "rank", lambda *arguments: computed.append(arguments) or rank(*arguments))
    request_recommendations(service, user)
    request_recommendations(service, user, session_id="kitchen")  # a session without plays
    assert [plan_query.session.tolist() for _, plan_query, _ in computed] == [[]]
    later = timezone.now() + timedelta(minutes=31)
    monkeypatch.setattr(timezone, "now", lambda: later)
    request_recommendations(service, user)
    assert [plan_query.session.tolist() for _, plan_query, _ in computed] == [[], []]


def test_a_precomputed_ranking_ends_with_the_version_of_its_policy(
    trained_catalogue: CatalogueFactory, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    precompute_all_active()
    user = User.objects.get(username="listener-1")
    before = request_recommendations(service, user)
    save_policy(replace(PERSONAL, sources={"popular": 1.0}))
    use_policy("personal", 1)
    after = request_recommendations(service, user)
    assert [(a["policy"], a["strategy"]) for a in (before, after)] == [
        ("personal", "personal"),
        ("personal@1", "popular"),
    ]
    use_policy("personal", 0)
    monkeypatch.setattr(slate, "rank", None)  # the rankings of the built-in one are still there
    assert request_recommendations(service, user)["results"] == before["results"]


def test_other_parameters_are_computed_on_request(trained_catalogue: CatalogueFactory, service: APIClient) -> None:
    precompute_all_active()
    user = User.objects.get(username="listener-1")
    assert [
        request_recommendations(service, user, **q)["results"] != []
        for q in ({"market": "DE"}, {"limit": 60}, {"explain": True})
    ]
    played = request_recommendations(service, user, exclude_played="false")["results"]
    assert len(played) > len(request_recommendations(service, user)["results"]) or played != []


def test_a_track_taken_down_after_precomputing_is_not_recommended(
    trained_catalogue: CatalogueFactory, service: APIClient
) -> None:
    precompute_all_active()
    user = User.objects.get(username="listener-1")
    first = request_recommendations(service, user)["results"][0]["track_id"]
    set_taken_down([first], timezone.now())
    assert first not in [r["track_id"] for r in request_recommendations(service, user)["results"]]


def test_nothing_is_precomputed_if_the_setting_is_zero(
    trained_catalogue: CatalogueFactory, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 0}
    monkeypatch.setattr(precompute, "precompute_rankings", None)
    assert precompute_active(Progress(str(version_in_service()))) is None
    assert precompute.precompute_stale() == 0
    assert precomputed.load_ranking(precomputed.precomputed_request(1), ()) is None


def test_the_set_of_stale_listeners_is_bounded(
    trained_catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.stale_listeners.MAX_LISTENERS", 5)
    for _ in range(3):
        add_stale_listeners(range(1, 9))
    assert len(pop_stale_listeners(100)) == 5
