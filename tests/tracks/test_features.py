from datetime import date

import numpy as np
import pytest

from engine.data.track_features import NO_DATE, UNKNOWN_ID
from tests.people import CatalogueFactory, store_track
from tracks import features
from tracks.features import load_content_features, load_track_features
from tracks.models import Album, Artist, Tag, Track, TrackTag
from tracks.services import save_track
from tracks.vectors import upsert_vectors


def days(*day: int) -> int:
    return (date(*day) - date(1970, 1, 1)).days


@pytest.mark.parametrize(("max_ids_per_query", "sparse"), [(10_000, 20), (1, 20), (1, 10_000)])
def test_features_are_in_the_order_of_the_ids(
    max_ids_per_query: int, sparse: int, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    monkeypatch.setattr(features, "MAX_IDS_PER_QUERY", max_ids_per_query)
    monkeypatch.setattr(features, "SPARSE", sparse)
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


@pytest.mark.parametrize(("max_ids_per_query", "sparse"), [(10_000, 20), (1, 20), (1, 10_000)])
def test_content_features_hold_everything_that_the_catalogue_knows(
    max_ids_per_query: int, sparse: int, monkeypatch: pytest.MonkeyPatch, db: None
) -> None:
    monkeypatch.setattr(features, "MAX_IDS_PER_QUERY", max_ids_per_query)
    monkeypatch.setattr(features, "SPARSE", sparse)
    monkeypatch.setattr(features, "TRACKS_PER_CHUNK", 2)
    monkeypatch.setattr(features, "VECTOR_BYTES_PER_CHUNK", 1)
    can = Artist.objects.create(name="Can")
    album = Album.objects.create(title="Tago Mago", artist=can, released_on=date(1971, 2, 1))
    krautrock, calm = Tag.objects.create(name="krautrock", kind="genre"), Tag.objects.create(name="calm")
    bare, rich, other, left_out = (store_track(title=title, artist=can) for title in ("A", "B", "C", "D"))
    rich.album, rich.tempo, rich.energy = album, 120.0, 0.25
    save_track(rich)
    for tag, weight in ((krautrock, 3.0), (calm, 0.5)):
        TrackTag.objects.create(track=rich, tag=tag, weight=weight)
    TrackTag.objects.create(track=left_out, tag=calm)
    vectors = [(other, [1.0, 2.0]), (rich, [3.0, 4.0]), (left_out, [5.0, 6.0])]
    upsert_vectors("audio", [{"id": track.pk, "vector": np.array(vector)} for track, vector in vectors])
    upsert_vectors("of_others", [{"id": left_out.pk, "vector": np.ones(1)}])

    unknown = left_out.pk + 1000
    content = load_content_features([other.pk, unknown, rich.pk, bare.pk])
    assert content.track_ids.tolist() == [bare.pk, rich.pk, other.pk, unknown]
    stated = [{content.columns[column]: float(row[0, column]) for column in row.indices} for row in content.sparse]
    of_artist = {f"artist:{can.pk}": 1.0}
    of_album = {f"album:{album.pk}": 1.0, "year:1971": 1.0, "decade:1970": 1.0}
    tags = {f"tag:{krautrock.pk}": 3.0, f"tag:{calm.pk}": 0.5}
    assert stated == [of_artist, of_artist | of_album | tags, of_artist, {}]
    np.testing.assert_array_equal(content.dense[1], np.array([120, 0.25, np.nan, np.nan, np.nan], np.float32))
    assert np.isnan(content.dense[[0, 2, 3]]).all()
    assert content.embeddings.keys() == {"audio"}
    assert content.embeddings["audio"].rows.tolist() == [1, 2]
    assert content.embeddings["audio"].vectors.tolist() == [[3.0, 4.0], [1.0, 2.0]]


def test_reading_content_takes_few_queries(db: None, django_assert_max_num_queries: object) -> None:
    tracks = CatalogueFactory().tracks(20)
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        load_content_features([track.pk for track in tracks])
    with django_assert_max_num_queries(8):  # type: ignore[operator]
        load_track_features([track.pk for track in tracks])
