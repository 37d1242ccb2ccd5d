"""Fixtures for training and tuning."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from access.models import User
from interactions.models import Interaction
from tests.engine import taste_groups
from tests.people import CatalogueFactory
from tracks.models import Artist, Track


@pytest.fixture
def taste_groups_in_database(catalogue: CatalogueFactory, settings: Any) -> None:
    """Create listeners with tastes: a tuned ensemble is far better than that of the settings, and passes the gate.

    Each track has an artist of its own. With one artist, every position of every evaluated slate would break the caps,
    which takes several times as long to rank.
    """
    plays = taste_groups.taste_group_plays()
    tracks = catalogue.tracks(taste_groups.N_TRACKS)
    for track, artist in zip(tracks, Artist.objects.bulk_create(Artist(name=t.title) for t in tracks), strict=True):
        track.artist = artist
    Track.objects.bulk_update(tracks, ["artist"])
    users = User.objects.bulk_create(User(username=f"listener-{n}") for n in range(taste_groups.N_LISTENERS))
    Interaction.objects.bulk_create(
        Interaction(
            user=users[user],
            track=tracks[track],
            plays=int(count),
            milestone=100 if qualified else 10,
            played_at=datetime.fromtimestamp(int(time), UTC),
            source="test",
            event_id=uuid.uuid4(),
        )
        for user, track, count, qualified, time in zip(
            plays.user, plays.track, plays.count, plays.qualified, plays.time, strict=True
        )
    )
    settings.MUSICREC = settings.MUSICREC | {"GATE_MARGIN": 1, "TUNING_SECONDS": 1}
