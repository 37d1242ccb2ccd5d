"""Charts: tracks by their listeners in a window."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.charts import selectors
from interactions.charts.selectors import load_chart
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tracks.models import Tag, Track
from tracks.selectors import track_cards


@pytest.fixture
def tracks(catalogue: CatalogueFactory) -> list[Track]:
    """Return 7 tracks; track n was played by 7 - n listeners, an hour ago."""
    tracks = catalogue.tracks(7)
    hour_ago = timezone.now() - timedelta(hours=1)
    for listener in range(7):
        user = User.objects.create_user(f"listener-{listener}")
        catalogue.play(user, *tracks[: 7 - listener], *tracks[: 7 - listener], at=hour_ago - timedelta(minutes=20))
    return tracks


def chart(api: APIClient, query: str = "") -> list[tuple[int, int, int | None]]:
    results, path = [], f"/charts/tracks?{query}"
    while path:
        page = api.get(path).json()
        results += [(row["track_id"], row["rank"], row["listeners"]) for row in page["results"]]
        path = page["next"]
    return results


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_counts_each_listener_once_and_tells_no_small_numbers(
    limit: int, service: APIClient, tracks: list[Track]
) -> None:
    counts = [7, 6, 5, None, None, None, None]
    expected = [(track.pk, rank, counts[rank - 1]) for rank, track in enumerate(tracks, 1)]
    assert chart(service, f"limit={limit}") == expected
    [first] = service.get("/charts/tracks?limit=1").json()["results"]
    assert first == track_cards([tracks[0].pk])[tracks[0].pk] | {"rank": 1, "listeners": 7}


def test_leaves_out_what_does_not_count(service: APIClient, catalogue: CatalogueFactory, tracks: list[Track]) -> None:
    [other] = catalogue.tracks(1)
    old, unwilling, skipping = (User.objects.create_user(name) for name in ("old", "unwilling", "skipping"))
    now = timezone.now()
    catalogue.play(old, other, at=now - timedelta(days=8))
    catalogue.play(skipping, other, at=now - timedelta(hours=2), milestone=10, is_completed=False)
    catalogue.play(unwilling, other, at=now - timedelta(hours=2))
    User.objects.filter(pk=unwilling.pk).update(consent=False)
    assert other.pk not in [row[0] for row in chart(service)]
    assert chart(service, "window=9d")[-1] == (other.pk, 8, None)


def test_is_filtered_by_genre_market_and_explicit(
    service: APIClient, alice: User, as_listener: Callable[[User], APIClient], tracks: list[Track]
) -> None:
    jazz = Tag.objects.create(name="Jazz", kind="genre")
    for track in tracks[:4]:
        track.track_tags.create(tag=jazz)
    Track.objects.filter(pk=tracks[0].pk).update(taken_down_at=timezone.now())
    Track.objects.filter(pk=tracks[1].pk).update(markets="FR")
    Track.objects.filter(pk=tracks[2].pk).update(explicit=True)
    queries: dict[str, list[int]] = {
        "genre=jazz": [1, 2, 3],
        f"genre={jazz.pk}": [1, 2, 3],
        "genre=Jazz&market=DE": [2, 3],
        "genre=Jazz&market=DE&explicit=false": [3],
    }
    for query, expected in queries.items():
        assert [row[0] for row in chart(service, query)] == [tracks[n].pk for n in expected], query
    User.objects.filter(pk=alice.pk).update(market="DE", allow_explicit=False)
    assert [row[0] for row in chart(as_listener(alice), "genre=jazz")] == [tracks[3].pk]


def test_stays_the_same_while_it_is_read(
    service: APIClient, alice: User, catalogue: CatalogueFactory, tracks: list[Track]
) -> None:
    page = service.get("/charts/tracks?limit=3").json()
    bob = User.objects.create_user("bob")
    for user in (alice, bob):  # so that the last track would overtake others
        catalogue.play(user, tracks[6], at=timezone.now() - timedelta(minutes=1))
    rest = service.get(page["next"]).json()["results"]
    assert [row["track_id"] for row in rest] == [track.pk for track in tracks[3:6]]
    cache.clear()
    assert service.get(page["next"]).json()["results"][0]["track_id"] == tracks[3].pk


@pytest.mark.parametrize("query", ["window=0d", "window=366d", "window=week", "genre=none", "cursor=WyJhIiwxXQ"])
def test_refuses_wrong_parameters(query: str, service: APIClient, tracks: list[Any]) -> None:
    problem = assert_problem(service.get(f"/charts/tracks?{query}"), 400)
    assert problem["errors"][0]["pointer"] == f"?{query.partition('=')[0]}"


@pytest.mark.parametrize(
    "query", ["window=0d", "window=366d", "window=07d", "genre=none", "genre=", "market=de", "explicit=perhaps", "x=1"]
)
def test_reads_its_parameters_as_new_releases_do(query: str, service: APIClient, tracks: list[Any]) -> None:
    refused = assert_problem(service.get(f"/charts/tracks?{query}"), 400)["errors"]
    assert refused == assert_problem(service.get(f"/new-releases?{query}"), 400)["errors"]


@pytest.mark.django_db(transaction=True)
def test_is_counted_once_for_requests_at_the_same_time(tracks: list[Track]) -> None:
    def count_queries(_: int) -> int:
        try:
            with CaptureQueriesContext(connection) as queries:
                assert [track_id for track_id, _ in load_chart(7, None, "", True)] == [track.pk for track in tracks]
            return len(queries)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(count_queries, range(8))) == 1


def test_a_request_that_gets_no_turn_to_count_is_told_to_come_back(
    service: APIClient, tracks: list[Track], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selectors, "WAIT_SECONDS", 0.01)
    cached = service.get("/charts/tracks?window=3d").json()
    with selectors._counting:
        response = service.get("/charts/tracks?window=4d")
        assert service.get("/charts/tracks?window=3d").json() == cached
    assert_problem(response, 503)
    assert response["Retry-After"] == "2"
    assert service.get("/charts/tracks?window=4d").status_code == 200
