"""Which tracks count as the same recording."""

from typing import Any
from uuid import UUID

import numpy as np
import pytest

from tests.people import store_track
from tracks import recordings
from tracks.models import Artist, Track
from tracks.recordings import MAX_RELEASES, load_recordings

pytestmark = pytest.mark.usefixtures("db")
MBID = UUID("8f3471b5-7e6a-48da-86a9-c1c07a0f47ae")


@pytest.fixture
def band() -> Artist:
    return Artist.objects.create(name="Band")


def groups(*tracks: Track) -> list[set[str]]:
    """Return the external ids of the tracks of each recording."""
    ids = np.array([track.pk for track in tracks], np.int64)
    by_recording: dict[int, set[str]] = {}
    for track, recording in zip(tracks, load_recordings(ids).tolist(), strict=True):
        by_recording.setdefault(recording, set()).add(str(track.external_id))
    return list(by_recording.values())


def store(artist: Artist, *tracks: tuple[str, dict[str, Any]]) -> list[Track]:
    """Store tracks, each given by its title and other columns; their external ids are a, b, c …"""
    return [
        store_track(artist=artist, title=title, external_id=external_id, **fields)
        for external_id, (title, fields) in zip("abcdefgh", tracks, strict=False)
    ]


def test_tracks_that_share_an_isrc_or_an_mbid_are_one_recording_even_through_a_third(band: Artist) -> None:
    tracks = store(
        band,
        ("Song", {"isrc": "GBAYE0601498"}),
        ("Song, single", {"isrc": "GBAYE0601498", "mbid": MBID}),
        ("Canción", {"mbid": MBID}),
        ("Other", {}),
    )
    assert groups(*tracks) == [{"a", "b", "c"}, {"d"}]
    assert load_recordings(np.array([tracks[2].pk])).tolist() == [tracks[0].pk]  # the others need not be asked for


def test_tracks_of_one_artist_and_title_are_one_recording_if_their_lengths_agree(band: Artist) -> None:
    cover = store_track(artist=Artist.objects.create(name="Band"), title="Song", external_id="cover")
    tracks = store(
        band,
        ("Song", {"duration_ms": 200_000}),
        ("SONG (2011 Remaster)", {"duration_ms": 202_500}),
        ("Song", {}),
        ("Song (Live)", {"duration_ms": 200_000}),
        ("Song (Somebody Remix)", {"duration_ms": 200_000}),
    )
    assert groups(*tracks, cover) == [{"a", "b", "c"}, {"d"}, {"e"}, {"cover"}]


def test_tracks_of_one_title_and_different_lengths_are_different_recordings(band: Artist) -> None:
    suite = [("Suite", {"duration_ms": length}) for length in (60_000, 61_000, 90_000, None)]
    assert groups(*store(band, *suite)) == [{"a", "b"}, {"c"}, {"d"}]


def test_intros_are_the_same_only_if_both_lengths_are_known(band: Artist) -> None:
    intros = [("Intro", {}), ("Intro", {}), ("Intro", {"duration_ms": 50_000}), ("Intro", {"duration_ms": 50_900})]
    assert groups(*store(band, *intros)) == [{"a"}, {"b"}, {"c", "d"}]


def test_an_identifier_of_very_many_tracks_is_a_placeholder(band: Artist) -> None:
    Track.objects.bulk_create(
        Track(artist=band, title=f"Song {n}", isrc="XX0000000000") for n in range(MAX_RELEASES + 1)
    )
    ids = np.array(sorted(Track.objects.values_list("pk", flat=True)))
    assert load_recordings(ids).tolist() == ids.tolist()


def test_a_whole_catalogue_has_the_same_recordings_as_its_parts(band: Artist, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [
        *store(band, ("Song", {"isrc": "GBAYE0601498"}), ("Song 2", {"isrc": "GBAYE0601498"}), ("Song", {})),
        store_track(artist=band, title="Alone"),
    ]
    ids = np.array([track.pk for track in tracks])
    expected = [tracks[0].pk] * 3 + [tracks[3].pk]
    assert load_recordings(ids).tolist() == expected
    monkeypatch.setattr(recordings, "_BATCH_SIZE", 1)  # the whole catalogue
    assert load_recordings(ids).tolist() == expected
    monkeypatch.setattr(recordings, "_SPARSE", 0)  # track by track
    assert load_recordings(ids).tolist() == expected
