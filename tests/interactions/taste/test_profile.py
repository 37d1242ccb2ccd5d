"""The taste profile that a listener sees."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from access.models import User
from interactions.taste.services import ExclusionKind, ExclusionTarget, SliderKind, add_exclusions, set_slider
from tests.conftest import assert_problem
from tests.people import NOON, CatalogueFactory
from tracks.models import Album, Artist, Tag, Track, TrackTag

ZERO_TOTALS = {"plays": 0, "skips": 0, "tracks": 0, "milliseconds": 0, "first": None, "last": None}


@pytest.fixture
def api(alice: User, as_listener: Callable[[User], APIClient]) -> APIClient:
    return as_listener(alice)


def test_the_profile_shows_what_recommendations_rest_on(
    alice: User, api: APIClient, catalogue: CatalogueFactory
) -> None:
    folk, calm = Tag.objects.create(name="folk", kind="genre"), Tag.objects.create(name="calm", kind="mood")
    other = Artist.objects.create(name="Others")
    album = Album.objects.create(title="Old", artist=other, year=1974)
    [song] = catalogue.tracks(1, released_on="2003-05-01")
    [old, lullaby] = catalogue.tracks(2, artist=other, album=album)
    for track, tags in ((song, [folk]), (old, [folk, calm]), (lullaby, [calm])):
        TrackTag.objects.bulk_create(TrackTag(track=track, tag=tag) for tag in tags)
    catalogue.play(alice, song, song, song, old, ms_played=200_000)
    catalogue.play(alice, lullaby, at=NOON + timedelta(hours=10))
    catalogue.play(alice, song, plays=6, at=NOON - timedelta(days=1))
    catalogue.play(alice, old, is_skip=True)
    catalogue.play(alice, old, learn=False, ms_played=1)
    [exclusion] = add_exclusions(alice.pk, [ExclusionTarget(ExclusionKind.TRACK, lullaby.pk)])

    set_slider(alice.pk, SliderKind.TAG, calm.pk, -1.0)
    set_slider(alice.pk, SliderKind.ARTIST, catalogue.artist.pk, 0.5)

    def make_track(track: Track, plays: int) -> dict[str, object]:
        return {"track_id": track.pk, "title": track.title, "plays": plays}

    body = api.get("/users/me/taste").json()
    assert [row["exclusion_id"] for row in body.pop("exclusions")] == [exclusion.pk]
    assert body == {
        "sliders": [
            {"kind": "artist", "target_id": catalogue.artist.pk, "value": 0.5},
            {"kind": "tag", "target_id": calm.pk, "value": -1.0},
        ],
        "totals": {
            "plays": 10,
            "skips": 1,
            "tracks": 2,
            "milliseconds": 800_000,
            "first": "2026-02-28T12:00:00Z",
            "last": "2026-03-01T12:03:00Z",
        },
        "artists": [
            {
                "plays": 9,
                "share": 0.9,
                "artist_id": catalogue.artist.pk,
                "name": "The Testers",
                "slider": 0.5,
                "tracks": [make_track(song, 9)],
            },
            {
                "plays": 1,
                "share": 0.1,
                "artist_id": other.pk,
                "name": "Others",
                "slider": 0.0,
                "tracks": [make_track(old, 1)],
            },
        ],
        "tags": [
            {
                "plays": 10,
                "share": 1.0,
                "tag_id": folk.pk,
                "name": "folk",
                "slider": 0.0,
                "tracks": [make_track(song, 9), make_track(old, 1)],
            },
            {
                "plays": 1,
                "share": 0.1,
                "tag_id": calm.pk,
                "name": "calm",
                "slider": -1.0,
                "tracks": [make_track(old, 1)],
            },
        ],
        "eras": [
            {"plays": 1, "share": 0.1, "from_year": 1970, "name": "1970s"},
            {"plays": 9, "share": 0.9, "from_year": 2000, "name": "2000s"},
        ],
        "hours": [{"plays": 4, "share": 0.4, "hour": 12}],
    }
    assert [len(api.get("/users/me/taste?limit=1").json()[name]) for name in ("artists", "tags", "eras")] == [1, 1, 2]
    assert_problem(api.get("/users/me/taste?limit=0"), 400)


def test_a_listener_without_plays_has_an_empty_profile(api: APIClient) -> None:
    lists: dict[str, list[object]] = {
        "artists": [],
        "tags": [],
        "eras": [],
        "hours": [],
        "sliders": [],
        "exclusions": [],
    }
    assert api.get("/users/me/taste").json() == {"totals": ZERO_TOTALS} | lists
