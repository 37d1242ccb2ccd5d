"""Caps and merged recordings hold for every kind of slate, however it was filled."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from access.models import User
from engine.bundle import files
from engine.pipeline import POLICIES
from interactions.services import refresh_popular_tracks
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service
from tests.people import CatalogueFactory
from tracks.models import Artist, Track

ARTISTS, TRACKS_EACH, LIMIT = 8, 5, 12
KNOWN, COLD, NEW, PRIVATE = range(4)


@pytest.fixture
def listeners(catalogue: CatalogueFactory) -> list[User]:
    """Return a listener of many tracks, one of two, one of none and one without consent.

    The tracks of the first artists have by far the most listeners.
    """
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(ARTISTS))
    tracks = [track for artist in artists for track in catalogue.tracks(TRACKS_EACH, artist=artist)]
    fans = User.objects.bulk_create(User(username=f"fan {n}") for n in range(12))
    for number, fan in enumerate(fans):
        catalogue.play(fan, *tracks[: 15 + 2 * number])
    users = [User.objects.create_user(name, consent=name != "private") for name in ("known", "cold", "new", "private")]
    catalogue.play(users[KNOWN], *tracks[1:20:3])
    catalogue.play(users[COLD], *tracks[2:4])
    refresh_popular_tracks()
    return users


def assert_shape(service: APIClient, path: str) -> None:
    body = service.get(path).json()
    artists = [result["artist_id"] for result in body["results"]]
    assert len(artists) == LIMIT, path
    assert np.unique(artists, return_counts=True)[1].max() <= POLICIES[body["policy"]].caps.per_artist, path
    assert all(first != second for first, second in pairwise(artists)), path
    assert body["relaxed"] == [], path


def test_no_slate_has_more_tracks_of_an_artist_than_its_policy_allows_or_two_in_succession(
    service: APIClient, listeners: list[User], catalogue: CatalogueFactory
) -> None:
    paths = [f"/recommend/user/{listener.pk}/ml?limit={LIMIT}&exclude_played=true" for listener in listeners]
    paths += [
        f"/recommend/user/{listeners[NEW].pk}?limit={LIMIT}",
        f"/recommend/similar/{Track.objects.earliest('pk').pk}?limit={LIMIT}",
    ]
    for path in paths:  # without a version
        assert_shape(service, path)
    assert run_training("test").status == "Published"
    new = catalogue.tracks(6, artist=Artist.objects.create(name="Newcomer"))
    model_cache.refresh_popularity()
    for path in [*paths, f"/recommend/similar/{new[0].pk}?limit={LIMIT}"]:
        assert_shape(service, path)


def turn_pages(service: APIClient, path: str, count: int) -> list[dict[str, Any]]:
    """Return up to so many pages of a slate."""
    pages, next_page = [], path
    while next_page and len(pages) < count:
        pages.append(service.get(next_page).json())
        next_page = pages[-1]["next"]
    return pages


@pytest.mark.parametrize("limit", [3, 7, 20])
def test_caps_and_gaps_hold_across_the_pages_of_a_slate(
    limit: int, service: APIClient, listeners: list[User], catalogue: CatalogueFactory
) -> None:
    for number in range(8):
        tracks = catalogue.tracks(4, artist=Artist.objects.create(name=f"Further artist {number}"))
        catalogue.play(User.objects.get(username=f"fan {number}"), *tracks)
    assert run_training("test").status == "Published"
    paths = [f"/recommend/user/{listener.pk}/ml?limit={limit}&exclude_played=true" for listener in listeners]
    paths += [
        f"/recommend/user/{listeners[NEW].pk}?limit={limit}",
        f"/recommend/similar/{Track.objects.earliest('pk').pk}?limit={limit}",
    ]
    for path in paths:
        artists: list[int] = []
        for page in turn_pages(service, path, max(2, 24 // limit)):
            artists += [result["artist_id"] for result in page["results"]]
            if page["relaxed"]:
                break
            caps = POLICIES[page["policy"]].caps
            assert all(first != second for first, second in pairwise(artists)), path
            for start in range(len(artists)):
                window = artists[start : start + caps.window]
                assert max(map(window.count, window)) <= caps.per_artist, (path, start)
        assert len(artists) > max(20, limit), path


def test_the_head_of_a_policy_is_not_begun_again_on_later_pages(service: APIClient, listeners: list[User]) -> None:
    """The default policy has a head of 8."""
    assert run_training("test").status == "Published"
    path = f"/recommend/user/{listeners[KNOWN].pk}/ml?exclude_played=true"
    pages = turn_pages(service, f"{path}&limit=4", 2)
    whole = service.get(f"{path}&limit=8").json()
    assert [page["relaxed"] for page in (*pages, whole)] == [[], [], []]
    ids = [result["track_id"] for page in pages for result in page["results"]]
    assert ids == [result["track_id"] for result in whole["results"]]


@pytest.mark.parametrize("format_version", [2, 3])
def test_a_version_of_an_older_format_has_caps_and_recordings_without_another_training(
    format_version: int, service: APIClient, listeners: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracks 1 and 3 are the same recording, and the listener has played the first of them."""
    for track in Track.objects.order_by("pk")[1:4:2]:
        Track.objects.filter(pk=track.pk).update(isrc="AT0000000001")
    copy = Track.objects.order_by("pk")[3]
    with monkeypatch.context() as before:
        before.setattr(files, "FORMAT_VERSION", format_version)
        before.setattr(files, "FEATURES_ARRAYS", {})
        before.setattr(files, "space_arrays", lambda auxiliary, content: ({}, {}))
        if format_version == 2:
            before.setattr(files, "SORTED_ITEMS_ARRAYS", {})
        assert run_training("test").status == "Published"
    model_cache.reset()
    assert model_cache.current().bundle.content is None
    path = f"/recommend/user/{listeners[KNOWN].pk}/ml?limit={LIMIT}&exclude_played=true"
    assert_shape(service, path)
    assert_shape(service, f"/recommend/similar/{Track.objects.earliest('pk').pk}?limit={LIMIT}")
    body = service.get(path).json()
    assert (body["degraded"], body["model_version"]) == (False, version_in_service())
    assert copy.pk not in [result["track_id"] for result in body["results"]]


def test_a_deleted_track_leaves_no_gap_between_tracks_of_one_artist(service: APIClient, listeners: list[User]) -> None:
    assert run_training("test").status == "Published"
    path = f"/recommend/user/{listeners[KNOWN].pk}/ml?limit={LIMIT}&exclude_played=true"
    second = service.get(path).json()["results"][1]["track_id"]
    Track.objects.filter(pk=second).delete()
    assert_shape(service, path)


def test_of_two_tracks_with_one_isrc_one_is_offered_and_none_if_the_listener_knows_the_other(
    service: APIClient, listeners: list[User], catalogue: CatalogueFactory
) -> None:
    compilation = catalogue.tracks(2, artist=Artist.objects.create(name="Various Artists"))
    first, second = Track.objects.order_by("pk")[:2]  # the listener knows the second
    for original, copy in ((first, compilation[0]), (second, compilation[1])):
        Track.objects.filter(pk__in=[original.pk, copy.pk]).update(
            isrc="AT0000000001" if original == first else "AT0000000002"
        )
    fan = User.objects.get(username="fan 0")
    catalogue.play(fan, *compilation)
    refresh_popular_tracks()
    assert run_training("test").status == "Published"
    body = service.get(f"/recommend/user/{listeners[KNOWN].pk}/ml?limit={LIMIT}").json()
    offered = {result["track_id"] for result in body["results"]}
    assert len(offered & {first.pk, compilation[0].pk}) == 1
    assert not offered & {second.pk, compilation[1].pk}


def test_a_slate_of_one_artist_says_what_was_relaxed(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.tracks(4)
    body = service.get("/recommend/user/1/ml?limit=3").json()
    assert len(body["results"]) == 3
    assert sorted(body["relaxed"]) == ["artist_cap", "artist_gap"]
