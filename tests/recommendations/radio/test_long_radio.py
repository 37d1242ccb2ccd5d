"""A radio of 500 steps over a catalogue of a thousand tracks that changes meanwhile."""

import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from access.models import User
from interactions.preferences.services import add_block
from interactions.services import refresh_popular_tracks
from recommendations.models import Radio
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_interaction
from tracks.models import Artist, Track
from tracks.services import bump_catalogue_revision, delete_from_catalogue, set_taken_down

STEPS, TRACKS, ARTISTS = 500, 1_000, 60


@pytest.fixture
def tracks(catalogue: CatalogueFactory) -> list[Track]:
    """Return a thousand tracks of 60 artists, every tenth the same recording as the one before, and train a version."""
    artists = Artist.objects.bulk_create(Artist(name=f"Artist {n}") for n in range(ARTISTS))
    tracks = Track.objects.bulk_create(
        Track(
            title=f"Song {n}",
            artist=artists[(n - (n % 10 == 9)) % ARTISTS],
            isrc=f"AT{n - (n % 10 == 9):010}",
            explicit=n % 17 == 0,
        )
        for n in range(TRACKS)
    )
    users = User.objects.bulk_create(User(username=f"listener-{n}") for n in range(20))
    for number, user in enumerate(users):
        catalogue.play(user, *(track for n, track in enumerate(tracks) if n % 20 == number or n % 70 == number % 7))
    refresh_popular_tracks()
    bump_catalogue_revision()
    assert run_training("test").status == "Published"
    return tracks


def test_500_steps_repeat_nothing_and_offer_nothing_that_is_left_out(
    tracks: list[Track], alice: User, as_listener: Callable[[User], APIClient], catalogue: CatalogueFactory
) -> None:
    """Meanwhile tracks are skipped, liked, disliked, blocked, taken down and deleted."""
    choose = random.Random(18)
    alice.allow_explicit = False
    alice.save()
    catalogue.play(alice, *tracks[:30])
    client = as_listener(alice)
    body = {"seeds": [{"kind": "taste"}, {"kind": "artist", "id": tracks[5].artist_id}], "mode": "medium", "drift": 0.5}
    radio = client.post("/radio", body, format="json").json()
    recording = {track.pk: track.isrc for track in tracks}
    artist = {track.pk: track.artist_id for track in tracks}
    left_out = {track.pk for track in tracks if track.explicit}
    heard: list[int] = []
    for step in range(STEPS):
        results = client.get(f"{radio['next']}?limit=1").json()["results"]
        if not results:
            break
        [track_id] = [result["track_id"] for result in results]
        assert track_id not in left_out, step
        heard.append(track_id)
        if step % 25:
            continue
        current, other = Track.objects.get(pk=track_id), choose.choice([t for t in tracks if t.pk not in left_out])
        match step // 25 % 6:
            case 0:
                store_interaction(alice, current, "skip", at=timezone.now(), is_skip=True)
            case 1:
                store_interaction(alice, current, "like", at=timezone.now())
            case 2:
                store_interaction(alice, other, "dislike", at=timezone.now())
                left_out.add(other.pk)
            case 3:
                add_block(alice.pk, "artist", other.artist_id, None)
                left_out |= {i for i, artist_id in artist.items() if artist_id == other.artist_id}
            case 4:
                set_taken_down([other.pk], timezone.now())
                left_out.add(other.pk)
            case 5:
                delete_from_catalogue(Track.objects.filter(pk=other.pk))
                left_out.add(other.pk)
    assert len(heard) == STEPS
    assert len({recording[track_id] for track_id in heard}) == STEPS


@pytest.mark.django_db(transaction=True)
def test_requests_at_once_never_get_the_same_track(catalogue: CatalogueFactory, service: APIClient) -> None:
    catalogue.tracks(60)
    radio = service.post("/radio", {"seeds": [{"kind": "artist", "id": catalogue.artist.pk}]}, format="json").json()
    answers: list[Any] = []

    def ask() -> None:
        answers.extend(service.get(f"{radio['next']}?limit=2") for _ in range(5))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {200}
    heard = [result["track_id"] for answer in answers for result in answer.json()["results"]]
    assert len(set(heard)) == len(heard) == 40
    assert sorted(Radio.objects.get().track_ids) == sorted(heard)
