"""Pages of artists and albums with their lists, and new releases."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from common.http.cursor_pages import encode_cursor
from tests.conftest import assert_problem
from tests.people import store_track
from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.pages.selectors import new_releases
from tracks.services import save_album, save_artist, set_taken_down


@pytest.fixture
def bjork(db: None) -> Artist:
    artist = Artist(name="Björk", external_id="a:björk")
    save_artist(artist)
    return artist


@pytest.fixture
def post(bjork: Artist) -> Album:
    album = Album(title="Post", artist=bjork, year=1995, external_id="a:post")
    save_album(album)
    return album


def titles(client: APIClient, path: str, **parameters: Any) -> list[str]:
    response = client.get(path, parameters)
    assert response.status_code == 200, response.content
    return [card["title"] for card in response.json()["results"]]


def all_titles(client: APIClient, path: str) -> list[list[str]]:
    """Return the titles of each page, following `next`."""
    pages = []
    next_path: str | None = path
    while next_path:
        page = client.get(next_path).json()
        pages.append([card["title"] for card in page["results"]])
        next_path = page["next"]
    return pages


def test_an_artists_page_shows_tags_albums_and_paths_of_lists(service: APIClient, bjork: Artist, post: Album) -> None:
    for title, weight in [("Hyperballad", 2), ("Army of Me", 3)]:
        track = store_track(title=title, artist=bjork, album=post)
        tag, _ = Tag.objects.get_or_create(name="electronic", kind="genre")
        TrackTag.objects.create(track=track, tag=tag, weight=weight)
    page = service.get("/artists/external:a:björk").json()
    assert page == {
        "artist_id": bjork.pk,
        "name": "Björk",
        "external_id": "a:björk",
        "mbid": None,
        "track_count": 2,
        "album_count": 1,
        "tags": [{"tag_id": tag.pk, "name": "electronic", "kind": "genre", "weight": 5.0}],
        "albums": [
            {
                "album_id": post.pk,
                "title": "Post",
                "artist_name": "Björk",
                "artist_id": bjork.pk,
                "year": 1995,
                "released_on": None,
                "cover_url": None,
                "external_id": "a:post",
                "mbid": None,
            }
        ],
        "tracks_path": f"/artists/{bjork.pk}/tracks",
        "albums_path": f"/artists/{bjork.pk}/albums",
    }
    assert titles(service, page["tracks_path"]) == ["Hyperballad", "Army of Me"]
    album_page = service.get("/albums/external:a:post").json()
    assert album_page["tracks_path"] == f"/albums/{post.pk}/tracks"
    assert [card["title"] for card in album_page["tracks"]] == ["Hyperballad", "Army of Me"]
    assert titles(service, album_page["tracks_path"]) == ["Hyperballad", "Army of Me"]


@pytest.mark.usefixtures("bjork")
def test_an_unknown_artist_or_album_is_not_found(service: APIClient) -> None:
    for path in ("/artists/external:nobody", "/artists/0", "/albums/99999999999999999999", "/albums/external:none"):
        assert_problem(service.get(path), 404)
        assert_problem(service.get(f"{path}/tracks"), 404)
    assert_problem(service.get("/artists/0/albums"), 404)
    assert_problem(service.get("/artists/björk"), 404)


def test_lists_are_turned_page_by_page(service: APIClient, bjork: Artist, post: Album) -> None:
    for number in range(5):
        store_track(title=f"Song {number}", artist=bjork, album=post)
    for title, year in [("Debut", 1993), ("Homogenic", 1997), ("Sketches", None), ("Vespertine", 2001)]:
        save_album(Album(title=title, artist=bjork, year=year))
    songs = [["Song 0", "Song 1"], ["Song 2", "Song 3"], ["Song 4"]]
    assert all_titles(service, f"/artists/{bjork.pk}/tracks?limit=2") == songs
    assert all_titles(service, f"/albums/{post.pk}/tracks?limit=2") == songs
    albums = [["Vespertine", "Homogenic"], ["Post", "Debut"], ["Sketches"]]
    assert all_titles(service, f"/artists/{bjork.pk}/albums?limit=2") == albums
    for path in (f"/artists/{bjork.pk}/tracks", f"/artists/{bjork.pk}/albums", "/new-releases"):
        problem = assert_problem(service.get(path, {"cursor": "WyJ4IiwidHJ1ZSJd"}), 400)
        assert problem["errors"][0]["pointer"] == "?cursor"
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):  # beyond what UTC can say
        problem = assert_problem(service.get("/new-releases", {"cursor": encode_cursor([moment, 1])}), 400)
        assert problem["errors"][0]["pointer"] == "?cursor"


def test_pages_and_lists_leave_out_what_the_listener_cannot_get(
    service: APIClient, bjork: Artist, post: Album, alice: User, as_listener: Callable[[User], APIClient]
) -> None:
    store_track(title="Everywhere", artist=bjork, album=post)
    store_track(title="In Iceland", artist=bjork, album=post, markets="IS")
    store_track(title="For adults", artist=bjork, album=post, explicit=True)
    set_taken_down([store_track(title="Gone", artist=bjork, album=post).pk], timezone.now())
    alice.market, alice.allow_explicit = "DE", False
    alice.save()
    phone, paths = as_listener(alice), (f"/artists/{bjork.pk}/tracks", f"/albums/{post.pk}/tracks", "/new-releases")
    for path in paths:
        assert sorted(titles(service, path)) == ["Everywhere", "For adults", "In Iceland"]
        assert titles(phone, path) == ["Everywhere"]
        assert sorted(titles(service, path, market="IS", explicit="false")) == ["Everywhere", "In Iceland"]
    assert phone.get(f"/artists/{bjork.pk}").json()["track_count"] == 1
    assert phone.get(f"/albums/{post.pk}").json()["track_count"] == 1


def test_new_releases_are_ordered_by_their_own_date_the_albums_or_that_of_their_addition(
    service: APIClient, bjork: Artist, post: Album
) -> None:
    now = timezone.now()
    today = now.date()
    post.released_on = today - timedelta(days=3)
    save_album(post)
    days = [
        ("Yesterday's", 1),
        ("Two days old", 2),
        ("Twenty days old", 20),
        ("Two months old", 60),
        ("Tomorrow's", -1),
    ]
    for title, age in days:
        store_track(title=title, artist=bjork, album=post, released_on=today - timedelta(days=age))
    store_track(title="As the album", artist=bjork, album=post)
    added = {
        "Just added": now,
        "Added five days ago": now - timedelta(days=5),
        "Added long ago": now - timedelta(days=90),
    }
    for title, moment in added.items():
        Track.objects.filter(pk=store_track(title=title, artist=bjork).pk).update(created_at=moment)
    expected = ["Just added", "Yesterday's", "Two days old", "As the album", "Added five days ago", "Twenty days old"]
    assert titles(service, "/new-releases") == expected
    assert all_titles(service, "/new-releases?limit=1") == [[title] for title in expected]
    assert titles(service, "/new-releases", window="2d") == expected[:3]
    assert titles(service, "/new-releases", window="365d") == [*expected, "Two months old", "Added long ago"]
    first = service.get("/new-releases?limit=2").json()["results"]
    assert [card["released_on"] for card in first] == [None, str(today - timedelta(days=1))]
    assert datetime.fromisoformat(first[0]["added_at"]) == now.astimezone(UTC)
    for window in ("0d", "366d", "30", "1w"):
        assert_problem(service.get("/new-releases", {"window": window}), 400)


def test_new_releases_of_a_genre(service: APIClient, bjork: Artist) -> None:
    electronic = Tag.objects.create(name="Electronic", kind="genre")
    mood = Tag.objects.create(name="calm", kind="mood")
    track = store_track(title="Hyperballad", artist=bjork)
    store_track(title="Untagged", artist=bjork)
    for tag in (electronic, mood):
        TrackTag.objects.create(track=track, tag=tag)
    for genre in ("Electronic", "electronic", electronic.pk):
        assert titles(service, "/new-releases", genre=genre) == ["Hyperballad"]
    for unknown in ("calm", mood.pk, "polka"):
        problem = assert_problem(service.get("/new-releases", {"genre": unknown}), 400)
        assert problem["errors"] == [
            {"pointer": "?genre", "detail": f"no genre is called '{unknown}'; tracks name theirs under tags"}
        ]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL scans the few rows of a test")
@pytest.mark.usefixtures("db")
def test_new_releases_read_a_large_catalogue_by_its_indexes() -> None:
    with CaptureQueriesContext(connection) as queries:
        new_releases(Q(taken_down_at=None), 30, None, 20)
    plans = []
    with connection.cursor() as cursor:
        for query in queries.captured_queries:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans.append("; ".join(row[3] for row in cursor.fetchall()))
    dated, dated_by_album, undated = plans
    assert "track_released" in dated
    assert dated_by_album.startswith("SEARCH tracks_album USING COVERING INDEX")
    assert "track_undated" in undated
    assert "TEMP B-TREE" not in dated + undated
