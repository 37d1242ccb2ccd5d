"""Two artists with listeners of their own: what one group plays, the other does not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from interactions.services import refresh_popular_tracks
from recommendations.training.run import run_training
from tests.people import CatalogueFactory, store_track
from tracks.models import Artist, Tag, Track, TrackTag
from tracks.services import save_artist

TRACKS = 12  # of each artist


@dataclass
class World:
    """The catalogue, and listeners of the first artist."""

    day: list[Track]
    night: list[Track]
    listeners: list[User]

    @property
    def ids(self) -> set[int]:
        return {track.pk for track in [*self.day, *self.night]}


@pytest.fixture
def world(catalogue: CatalogueFactory) -> World:
    """Return tracks of "Día" (rock, calm) and "Night" (jazz), of which listeners play one, and a version in service."""
    tags = {name: Tag.objects.create(name=name, kind=kind) for name, kind in (("Rock", "genre"), ("jazz", "genre"))}
    calm = Tag.objects.create(name="calm", kind="mood")
    groups: list[list[Track]] = []
    for name, tag in (("Día", tags["Rock"]), ("Night", tags["jazz"])):
        artist = Artist(name=name, external_id=f"a:{name}", mbid=f"8f6bd1e4-fbe1-4f50-aa9b-94c450ec0f1{len(groups)}")
        save_artist(artist)
        tracks = [store_track(title=f"{name} {n}", artist=artist, external_id=f"{name}:{n}") for n in range(TRACKS)]
        TrackTag.objects.bulk_create(TrackTag(track=track, tag=tag) for track in tracks)
        groups.append(tracks)
    day, night = groups
    TrackTag.objects.bulk_create(TrackTag(track=track, tag=calm) for track in (*day[:4], *night[:2]))
    users = User.objects.bulk_create(User(username=f"listener-{n}", external_id=f"u:{n}") for n in range(12))
    for number, user in enumerate(users):
        catalogue.play(user, *(track for n, track in enumerate(groups[number % 2]) if (n + number) % 4))
    refresh_popular_tracks()
    assert run_training("test").status == "Published"
    return World(day, night, users[::2])


@pytest.fixture
def start(service: APIClient) -> Callable[..., dict[str, Any]]:
    """Return a function that starts a radio by a service key, or by another client, and returns its description."""

    def start_radio(client: APIClient = service, **body: Any) -> dict[str, Any]:
        answer = client.post("/radio", body, format="json")
        assert answer.status_code == 201, answer.content
        radio: dict[str, Any] = answer.json()
        assert answer["Location"] == f"/radio/{radio['radio_id']}"
        return radio

    return start_radio


def play(client: APIClient, radio: dict[str, Any], limit: int = 5, query: str = "") -> list[int]:
    """Return the ids of the next tracks of a radio."""
    answer = client.get(f"{radio['next']}?limit={limit}{query}")
    assert answer.status_code == 200, answer.content
    return [result["track_id"] for result in answer.json()["results"]]
