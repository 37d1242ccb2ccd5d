from datetime import date

import pytest

from engine.data.track_features import NO_DATE, UNKNOWN_ID
from tests.people import store_track
from tracks import features
from tracks.features import load_track_features
from tracks.models import Album, Artist, Track


def days(*day: int) -> int:
    return (date(*day) - date(1970, 1, 1)).days


@pytest.mark.parametrize("max_ids_per_query", [10_000, 1])
def test_features_are_in_the_order_of_the_ids(
    max_ids_per_query: int, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    monkeypatch.setattr(features, "MAX_IDS_PER_QUERY", max_ids_per_query)
    artist = Artist.objects.create(name="Can")
    dated = Album.objects.create(title="Tago Mago", artist=artist, released_on=date(1971, 2, 1))
    of_a_year = Album.objects.create(title="Future Days", artist=artist, year=1973)
    undated = store_track(title="Spoon", artist=artist)
    on_dated = store_track(title="Halleluhwah", artist=artist, album=dated)
    single = store_track(title="Turtles Have Short Legs", artist=artist, album=dated, released_on=date(1971, 6, 1))
    on_year = store_track(title="Moonshake", artist=artist, album=of_a_year)
    store_track(title="Not asked for", artist=artist)
    tracks = [on_year, single, on_dated, undated]
    unknown = on_year.pk + 1000
    loaded = load_track_features([unknown, *(track.pk for track in tracks)])
    assert loaded.artist.tolist() == [artist.pk] * 4 + [UNKNOWN_ID]
    assert loaded.album.tolist() == [UNKNOWN_ID, dated.pk, dated.pk, of_a_year.pk, UNKNOWN_ID]
    assert loaded.recording.tolist() == [undated.pk, on_dated.pk, single.pk, on_year.pk, unknown]
    dates = [NO_DATE, days(1971, 2, 1), days(1971, 6, 1), days(1973, 1, 1), NO_DATE]
    assert loaded.released.tolist() == dates
    added = [int(Track.objects.get(pk=track.pk).created_at.timestamp()) for track in reversed(tracks)]
    assert loaded.added.tolist() == [*added, 0]


def test_an_empty_catalogue_has_no_features(db: None) -> None:
    assert len(load_track_features([])) == 0
    assert load_track_features([5]).artist.tolist() == [UNKNOWN_ID]
