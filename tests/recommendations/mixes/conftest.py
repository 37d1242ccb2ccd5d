"""Listeners of three genres, with plays of last week and of last year."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from access.models import User
from interactions.services import refresh_popular_tracks
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_track
from tracks.models import Artist, Tag, Track, TrackTag
from tracks.services import save_artist

GENRES = ("rock", "jazz", "pop")
ARTISTS, TRACKS = 6, 10  # of each genre, and of each artist


@dataclass
class Scene:
    """The catalogue by genre, and listeners: number n plays the genre n modulo 3 most."""

    tracks: dict[str, list[Track]]
    artists: list[Artist]
    listeners: list[User]

    @property
    def ids(self) -> set[int]:
        return {track.pk for tracks in self.tracks.values() for track in tracks}

    def genre_of(self, track_id: int) -> str:
        return next(genre for genre, tracks in self.tracks.items() if track_id in {track.pk for track in tracks})


@pytest.fixture
def scene(catalogue: CatalogueFactory) -> Scene:
    """Return the catalogue and its listeners, with a version in service."""
    now = timezone.now()
    tracks: dict[str, list[Track]] = {}
    artists = []
    for genre in GENRES:
        tag, tracks[genre] = Tag.objects.create(name=genre, kind="genre"), []
        for number in range(ARTISTS):
            artist = Artist(name=f"{genre.title()} Artist {number}", external_id=f"a:{genre}:{number}")
            save_artist(artist)
            artists.append(artist)
            tracks[genre] += [
                store_track(
                    title=f"{genre} {number} {n}",
                    artist=artist,
                    external_id=f"t:{genre}:{number}:{n}",
                    released_on=(now - timedelta(days=3 if n == TRACKS - 1 else 1000)).date(),
                )
                for n in range(TRACKS)
            ]
        TrackTag.objects.bulk_create(TrackTag(track=track, tag=tag) for track in tracks[genre])
    listeners = User.objects.bulk_create(
        User(username=f"listener-{n}", external_id=f"u:{n}", market="DE" if n % 2 else "") for n in range(24)
    )
    for number, user in enumerate(listeners):
        main, other = GENRES[number % 3], GENRES[(number + 1) % 3]
        played = [track for n, track in enumerate(tracks[main]) if (n * 7 + number) % 4 and n % TRACKS < TRACKS - 1]
        played += [track for n, track in enumerate(tracks[other]) if (n * 5 + number) % 5 == 0]
        for times, part in enumerate((played, played[::2], played[::4])):
            catalogue.play(user, *part, at=now - timedelta(days=5 + times))
        loved = [track for n, track in enumerate(tracks[main]) if not (n * 7 + number) % 4 and n % TRACKS < TRACKS - 1][
            :8
        ]
        for times in range(3):
            catalogue.play(user, *loved, at=now - timedelta(days=200 + times))
    refresh_popular_tracks()
    assert run_training("test").status == "Published"
    return Scene(tracks, artists, listeners)


def tracks_of(answer: Any) -> list[int]:
    """Return the ids of all tracks of an answer, in order."""
    assert answer.status_code == 200, answer.content
    return [result["track_id"] for shelf in answer.json()["shelves"] for result in shelf["results"]]


def by_id(answer: Any) -> dict[str, dict[str, Any]]:
    """Return the shelves of an answer by their ids."""
    assert answer.status_code == 200, answer.content
    shelves = answer.json()["shelves"]
    found = {shelf["id"]: shelf for shelf in shelves}
    assert len(found) == len(shelves)
    return found
