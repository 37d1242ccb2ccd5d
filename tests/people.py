"""A small catalogue and its listeners, in the database."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from access.models import User
from interactions.bulk import NewInteraction, insert_interactions
from interactions.services import refresh_popular_tracks
from tracks.models import Artist, Track
from tracks.services import save_track

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def store_interaction(user: User, track: Track, kind: str, *, at: datetime = NOON, **columns: Any) -> None:
    """Store one interaction as the services do: the listener's revision is bumped."""
    columns = {"source": "test", "event_id": uuid.uuid4()} | columns
    insert_interactions([NewInteraction(user.pk, track.pk, kind, at, **columns)])


def store_track(**fields: Any) -> Track:
    """Store one track as the services do: with its match key, and the catalogue's revision is bumped."""
    track = Track(**fields)
    save_track(track)
    return track


class CatalogueFactory:
    """Creates tracks of one artist, and plays of them."""

    def __init__(self) -> None:
        self.artist = Artist.objects.create(name="The Testers", external_id="t:artist")

    def tracks(self, count: int, **fields: Any) -> list[Track]:
        first = Track.objects.count()
        return Track.objects.bulk_create(
            Track(title=f"Song {first + n}", external_id=f"t:{first + n}", **{"artist": self.artist} | fields)
            for n in range(count)
        )

    @staticmethod
    def play(user: User, *tracks: Track, at: datetime = NOON, **columns: Any) -> None:
        """Store plays of whole tracks, a minute apart."""
        columns = {"kind": "play", "source": "test", "milestone": 100, "is_completed": True} | columns
        insert_interactions(
            [
                NewInteraction(user.pk, track.pk, played_at=at + timedelta(minutes=n), event_id=uuid.uuid4(), **columns)
                for n, track in enumerate(tracks)
            ]
        )

    def checkerboard(self, size: int = 20) -> tuple[list[User], list[Track]]:
        """Let even listeners play even tracks and odd ones odd tracks, each except the track of their own number."""
        tracks = self.tracks(size)
        users = User.objects.bulk_create(User(username=f"listener-{n}") for n in range(size))
        for number, user in enumerate(users):
            self.play(user, *(t for m, t in enumerate(tracks) if m % 2 == number % 2 and m != number))
        refresh_popular_tracks()
        return users, tracks
