"""Columns as PostgreSQL packs them and as rows of the ORM are the same."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from django.db import connection
from django.db.models import F

from common import database_columns
from common.database_columns import NULL, read_columns
from tests.people import store_track
from tracks.models import Artist, Track, TrackVector

COLUMNS = [("pk", int), ("album_id", int), (F("tempo") * 2, float), ("released_on", date), ("created_at", datetime)]


@pytest.mark.parametrize("iterator_rows", [1, 2, 1000])
def test_numbers_dates_and_times_come_in_the_order_of_the_rows(
    db: None, monkeypatch: pytest.MonkeyPatch, iterator_rows: int
) -> None:
    monkeypatch.setattr(database_columns, "ITERATOR_ROWS", iterator_rows)
    artist = Artist.objects.create(name="Can")
    spoon = store_track(title="Spoon", artist=artist, tempo=60.25, released_on=date(1972, 1, 2))
    early = store_track(title="Before 1970", artist=artist, released_on=date(1969, 12, 31))
    Track.objects.update(created_at=datetime(1969, 12, 31, 23, 59, 58, 700_000, tzinfo=UTC))
    rows = Track.objects.order_by("-pk")
    packed, by_rows = read_columns(rows, COLUMNS), database_columns._read_rows(rows, COLUMNS)
    expected = [
        np.array([early.pk, spoon.pk]),
        np.array([NULL, NULL]),
        np.array([np.nan, 120.5]),
        np.array([-1, 731]),
        np.array([-2, -2]),
    ]
    for columns in (packed, by_rows):
        for column, values in zip(columns, expected, strict=True):
            assert column.dtype == values.dtype
            np.testing.assert_array_equal(column, values)


def test_bytes_are_joined(db: None) -> None:
    track = store_track(title="Spoon", artist=Artist.objects.create(name="Can"))
    for name, embedding in (("a", b"1234"), ("b", b"5678")):
        TrackVector.objects.create(track=track, name=name, dimension=1, embedding=embedding)
    rows = TrackVector.objects.order_by("name")
    for read in (read_columns, database_columns._read_rows):
        ids, joined = read(rows, [("track_id", int), ("embedding", bytes)])
        assert (ids.tolist(), joined.tobytes()) == ([track.pk, track.pk], b"12345678")


def test_without_rows_the_columns_are_empty(db: None) -> None:
    assert [len(column) for column in read_columns(Track.objects.all(), COLUMNS)] == [0] * 5
    assert [len(column) for column in read_columns(TrackVector.objects.all(), [("embedding", bytes)])] == [0]


def test_reading_takes_one_query(db: None, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]
        read_columns(Track.objects.all(), COLUMNS)
    assert connection.vendor in ("postgresql", "sqlite")
