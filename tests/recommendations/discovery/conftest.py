"""Eight artists with three tracks each: listeners play the artists with even numbers, or those with odd ones."""

from dataclasses import dataclass

import pytest

from access.models import User
from interactions.services import refresh_popular_tracks
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_track
from tracks.models import Artist, Tag, Track, TrackTag
from tracks.services import save_artist

ARTISTS, TRACKS = 8, 3


@dataclass
class Stage:
    """The catalogue and its listeners. `new` has played the first two tracks of the artists 0 and 2."""

    artists: list[Artist]
    tracks: list[list[Track]]
    jazz: Tag
    rock: Tag
    even: list[User]
    new: User


@pytest.fixture
def stage(catalogue: CatalogueFactory) -> Stage:
    artists, tracks = [], []
    genres = [Tag.objects.create(name=name, kind="genre") for name in ("Jazz", "Rock")]
    for number in range(ARTISTS):
        artist = Artist(name=f"Artist {number}", external_id=f"a:{number}")
        save_artist(artist)
        artists.append(artist)
        tracks.append([store_track(title=f"{number}/{n}", artist=artist) for n in range(TRACKS)])
        TrackTag.objects.bulk_create(TrackTag(track=track, tag=genres[number % 2]) for track in tracks[-1])
    users = User.objects.bulk_create(User(username=f"listener-{n}", external_id=f"u:{n}") for n in range(24))
    for number, user in enumerate(users):
        own = [track for of_artist in tracks[number % 2 :: 2] for track in of_artist]
        catalogue.play(user, *(track for n, track in enumerate(own) if (n + number // 2) % 4))
    new = User.objects.create_user("new", external_id="u:new")
    catalogue.play(new, *tracks[0][:2], *tracks[2][:2], tracks[0][0])
    refresh_popular_tracks()
    assert run_training("test").status == "Published"
    return Stage(artists, tracks, *genres, users[::2], new)
