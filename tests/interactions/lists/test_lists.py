"""A listener's history, likes, dislikes and blocks, page by page."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.models import Block, Interaction
from tests.conftest import assert_problem
from tests.people import NOON, CatalogueFactory, store_interaction
from tracks.models import Album, Tag, Track
from tracks.selectors import track_cards


@pytest.fixture
def api(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


def read_all(api: APIClient, path: str) -> list[dict[str, Any]]:
    """Return the results of all pages."""
    results: list[dict[str, Any]] = []
    while path:
        page = api.get(path).json()
        assert page.keys() == {"results", "next", "next_cursor"}
        results += page["results"]
        path = page["next"]
    return results


def rfc3339(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


class TestHistory:
    def test_has_cards_and_plays(self, api: APIClient, alice: User, bob: User, catalogue: CatalogueFactory) -> None:
        track, other = catalogue.tracks(2, duration_ms=200_000)
        catalogue.play(bob, other)
        catalogue.play(alice, track, ms_played=190_000, milestone=95)
        store_interaction(alice, track, "skip", at=NOON + timedelta(hours=1), is_skip=True, source="api")
        store_interaction(alice, track, "like", at=NOON + timedelta(hours=2))
        events = {row.kind: str(row.event_id) for row in Interaction.objects.filter(user=alice)}
        card = track_cards([track.pk])[track.pk]
        skip = {
            "event_id": events["skip"],
            "kind": "skip",
            "played_at": rfc3339(NOON + timedelta(hours=1)),
            "plays": 1,
            "ms_played": None,
            "milestone": 0,
            "is_completed": False,
            "is_skip": True,
            "source": "api",
            "recommendation_id": None,
        }
        play = {
            "event_id": events["play"],
            "kind": "play",
            "played_at": rfc3339(NOON),
            "plays": 1,
            "ms_played": 190_000,
            "milestone": 95,
            "is_completed": True,
            "is_skip": False,
            "source": "test",
            "recommendation_id": None,
        }
        body = api.get("/users/me/history").json()
        assert body == {"results": [card | skip, card | play], "next": None, "next_cursor": None}

    @pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 100])
    def test_pages_have_each_play_once_although_plays_of_the_same_time_arrive(
        self, limit: int, api: APIClient, alice: User, catalogue: CatalogueFactory
    ) -> None:
        tracks = catalogue.tracks(6)
        for number, track in enumerate(tracks):
            store_interaction(alice, track, "play", at=NOON + timedelta(minutes=number // 3))
        page = api.get(f"/users/me/history?limit={limit}").json()
        store_interaction(alice, tracks[0], "play", at=NOON + timedelta(days=1))
        rest = read_all(api, page["next"]) if page["next"] else []
        assert [row["track_id"] for row in page["results"] + rest] == [tracks[n].pk for n in (5, 4, 3, 2, 1, 0)]

    def test_is_bounded_by_times(self, api: APIClient, alice: User, catalogue: CatalogueFactory) -> None:
        tracks = catalogue.tracks(4)
        catalogue.play(alice, *tracks)
        minutes = [rfc3339(NOON + timedelta(minutes=n)) for n in range(4)]
        rows = read_all(api, f"/users/me/history?limit=1&since={minutes[1]}&until={minutes[3]}")
        assert [row["played_at"] for row in rows] == [minutes[2], minutes[1]]

    def test_of_listeners_named_in_each_way(self, service: APIClient, alice: User, catalogue: CatalogueFactory) -> None:
        User.objects.filter(pk=alice.pk).update(external_id="a-1", consent=False)
        catalogue.play(alice, *catalogue.tracks(1))
        for name in (alice.pk, "external:a-1"):
            assert len(service.get(f"/users/{name}/history").json()["results"]) == 1
        for name in (alice.pk + 1000, "external:a-2"):
            assert_problem(service.get(f"/users/{name}/history"), 404)

    @pytest.mark.parametrize(
        "position",
        [[], ["x", 1], ["2026-01-01T00:00:00Z", "1"], [1, 1], ["0001-01-01T00:00:00+23:00", 1], [None, 2**70]],
    )
    def test_refuses_a_broken_cursor(self, position: list[Any], api: APIClient) -> None:
        cursor = base64.urlsafe_b64encode(json.dumps(position).encode()).rstrip(b"=").decode()
        problem = assert_problem(api.get(f"/users/me/history?cursor={cursor}"), 400)
        assert problem["errors"] == [
            {
                "pointer": "?cursor",
                "detail": "is not a cursor of this list; leave it out to start from the beginning",
            }
        ]


class TestOpinions:
    def test_are_the_current_ones_and_the_latest_first(
        self, api: APIClient, alice: User, catalogue: CatalogueFactory
    ) -> None:
        tracks = catalogue.tracks(5)
        for minute, (number, kind) in enumerate(
            [(0, "like"), (1, "like"), (2, "like"), (3, "dislike"), (1, "dislike"), (2, "unlike"), (4, "like")]
        ):
            store_interaction(alice, tracks[number], kind, at=NOON + timedelta(minutes=minute))
        cards = track_cards([track.pk for track in tracks])
        times = [rfc3339(NOON + timedelta(minutes=n)) for n in range(7)]
        assert read_all(api, "/users/me/likes?limit=1") == [
            cards[tracks[4].pk] | {"liked_at": times[6]},
            cards[tracks[0].pk] | {"liked_at": times[0]},
        ]
        assert read_all(api, "/users/me/dislikes?limit=1") == [
            cards[tracks[1].pk] | {"disliked_at": times[4]},
            cards[tracks[3].pk] | {"disliked_at": times[3]},
        ]

    def test_go_on_where_the_page_ended_although_its_last_like_is_withdrawn(
        self, api: APIClient, catalogue: CatalogueFactory
    ) -> None:
        tracks = catalogue.tracks(4)
        for track in tracks:
            api.put(f"/users/me/likes/{track.pk}")
        page = api.get("/users/me/likes?limit=2").json()
        api.delete(f"/users/me/likes/{page['results'][-1]['track_id']}")
        assert [row["track_id"] for row in read_all(api, page["next"])] == [tracks[1].pk, tracks[0].pk]


class TestBlocks:
    def test_have_names_and_the_latest_comes_first(
        self, api: APIClient, alice: User, catalogue: CatalogueFactory
    ) -> None:
        album = Album.objects.create(title="Tests", artist=catalogue.artist, cover_url="https://a.example/c.jpg")
        [track] = catalogue.tracks(1, album=album)
        genre = Tag.objects.create(name="jazz", kind="genre")
        targets = [("artist", catalogue.artist.pk), ("album", album.pk), ("track", track.pk), ("genre", genre.pk)]
        for kind, target_id in targets:
            assert api.put(f"/users/me/blocks/{kind}/{target_id}").status_code == 204
        until = timezone.now() + timedelta(days=1)
        Block.objects.filter(kind="genre").update(until=until)
        Block.objects.create(user=alice, kind="track", target_id=10**9)
        Block.objects.create(user=alice, kind="track", target_id=10**9 + 1, until=timezone.now() - timedelta(days=1))
        rows = read_all(api, "/users/me/blocks?limit=2")
        assert all(row.pop("blocked_at") for row in rows)
        cover = "https://a.example/c.jpg"
        assert [tuple(row.values()) for row in rows] == [
            ("track", 10**9, None, None, None, None, None),
            ("genre", genre.pk, rfc3339(until), None, "jazz", None, None),
            ("track", track.pk, None, "t:0", "Song 0", "The Testers", cover),
            ("album", album.pk, None, None, "Tests", "The Testers", cover),
            ("artist", catalogue.artist.pk, None, "t:artist", "The Testers", None, None),
        ]
        names = ["kind", "target_id", "until", "external_id", "name", "artist_name", "cover_url"]
        assert list(rows[0]) == names
        assert [row["name"] for row in read_all(api, "/users/me/blocks?kind=album")] == ["Tests"]
        assert_problem(api.get("/users/me/blocks?kind=label"), 400)

    def test_of_a_deleted_track_can_still_be_removed(self, api: APIClient, catalogue: CatalogueFactory) -> None:
        [track] = catalogue.tracks(1)
        api.put(f"/users/me/blocks/track/{track.pk}")
        Track.objects.all().delete()
        [row] = read_all(api, "/users/me/blocks")
        assert api.delete(f"/users/me/blocks/track/{row['target_id']}").status_code == 204
        assert read_all(api, "/users/me/blocks") == []
