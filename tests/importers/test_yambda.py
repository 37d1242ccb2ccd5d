"""The Yambda data set: small files with the columns and types of the published ones."""

import tracemalloc

import numpy as np
import pytest

from importers import IMPORTERS, FormatError, PlayRecord, RefusedRow, TrackRecord
from importers.records import placeholder_track, play_event_id
from importers.yambda import LAST_SECOND, PUBLISHED

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
IMPORTER = IMPORTERS["yambda"]
START = PUBLISHED - LAST_SECOND


def read(*paths, as_of=PUBLISHED):
    return list(IMPORTER.read(paths, namespace="yambda", as_of=as_of, on_bytes=lambda n: None))


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def write_events(path, rows, names=("uid", "timestamp", "item_id", "is_organic")):
    types = {"is_organic": pa.uint8(), "played_ratio_pct": pa.uint16(), "event_type": pa.string()}
    columns = zip(*rows, strict=True)
    return write(path, **{n: pa.array(c, types.get(n, pa.uint32())) for n, c in zip(names, columns, strict=True)})


LISTENS = ("uid", "timestamp", "item_id", "is_organic", "played_ratio_pct", "track_length_seconds")
MULTI = (*LISTENS[:4], "event_type", *LISTENS[4:])


def test_listens_are_plays(tmp_path):
    path = write_events(
        tmp_path / "listens.parquet", [(10, 0, 7, 1, 50, 200), (10, 26_000_000, 7, 0, 130, 200)], LISTENS
    )
    track, half, repeated = read(path)
    assert track == placeholder_track("yambda:", "7")._replace(duration_ms=200_000, file="listens.parquet", line=1)
    assert half == PlayRecord(
        "yambda:10",
        "yambda:7",
        START,
        ms_played=100_000,
        milestone=50,
        context="organic",
        event_id=play_event_id("yambda", "yambda:10", "yambda:7", 0, "play"),
        file="listens.parquet",
        line=1,
    )
    assert repeated == PlayRecord(
        "yambda:10",
        "yambda:7",
        PUBLISHED,
        ms_played=260_000,
        milestone=100,
        is_completed=True,
        context="recommendation",
        event_id=play_event_id("yambda", "yambda:10", "yambda:7", 26_000_000, "play"),
        file="listens.parquet",
        line=2,
    )
    assert [r.event_id for r in read(path, as_of=PUBLISHED + 99)[1:]] == [half.event_id, repeated.event_id]


def test_the_file_says_the_type_of_its_events_or_a_column_does(tmp_path):
    for name in ("likes", "unlikes", "dislikes", "undislikes"):
        [_, event] = read(write_events(tmp_path / f"{name}.parquet", [(10, 5, 7, 1)]))
        assert (event.kind, event.milestone, event.is_completed) == (name.removesuffix("s"), 0, False)
    kinds = ["listen", "like", "unlike", "dislike", "undislike"]
    rows = [
        (10, n, 7, 1, kind, 100 if kind == "listen" else None, 200 if kind == "listen" else None)
        for n, kind in enumerate(kinds)
    ]
    _, *events = read(write_events(tmp_path / "part-0.parquet", rows, MULTI))
    assert [event.kind for event in events] == ["play", "like", "unlike", "dislike", "undislike"]
    with pytest.raises(FormatError, match=r"part-1\.parquet: there is no column event_type, and the file has none of"):
        read(write_events(tmp_path / "part-1.parquet", [(10, 5, 7, 1)]))


def test_mappings_give_tracks_their_artists_and_albums(tmp_path):
    write_events(tmp_path / "likes.parquet", [(10, 5, 7, 1), (10, 6, 8, 1)])
    ids = pa.array([0, 4, 3], pa.uint32())
    write(tmp_path / "artist_item_mapping.parquet", artist_id=ids, item_id=pa.array([7, 7, 9], pa.uint32()))
    write(tmp_path / "album_item_mapping.parquet", album_id=ids, item_id=pa.array([7, 9, 9], pa.uint32()))
    track, _, other, _ = read(tmp_path)
    assert track == TrackRecord(
        "yambda:7",
        "Track 7",
        "Artist 0",
        "yambda:0",
        album="Album 0",
        album_id="yambda:0",
        has_placeholder_names=True,
        file="likes.parquet",
        line=1,
    )
    assert other == placeholder_track("yambda:", "8")._replace(file="likes.parquet", line=2)
    files = sorted(tmp_path.iterdir())
    assert read(*files) == read(*files[::-1]) == read(tmp_path)


def test_in_a_folder_the_file_of_all_events_stands_for_the_others(tmp_path):
    multi = write_events(tmp_path / "multi_event.parquet", [(10, 5, 7, 1, "like", None, None)], MULTI)
    likes = write_events(tmp_path / "likes.parquet", [(10, 5, 7, 1)])
    assert [r.file for r in read(tmp_path)] == ["multi_event.parquet"] * 2
    assert IMPORTER.total_bytes([tmp_path]) == multi.stat().st_size
    assert read(likes)[1].event_id == read(multi)[1].event_id


def test_a_row_of_a_sequential_file_has_all_events_of_a_listener(tmp_path):
    flat = write_events(tmp_path / "flat" / "listens.parquet", [(10, 0, 7, 1, 50, 200), (10, 5, 8, 0, 9, 100)], LISTENS)
    sequential = write(
        tmp_path / "sequential" / "listens.parquet",
        uid=pa.array([10, 11, 12], pa.uint32()),
        timestamp=[[0, 5], [], [1, 2]],
        item_id=[[7, 8], [], [1]],
        is_organic=pa.array([[1, 0], [], [1]], pa.list_(pa.uint8())),
        played_ratio_pct=[[50, 9], None, [1]],
        track_length_seconds=[[200, 100], [], [1]],
    )
    *records, refused_row = read(sequential)
    assert [r._replace(line=0) for r in records] == [r._replace(line=0) for r in read(flat)]
    assert refused_row == RefusedRow("listens.parquet", 3, "row: 'its lists' is not of the same length")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((None, 5, 7, 1, "like", None, None), "uid: empty, expected a text of 1 to 121 characters"),
        ((10, None, 7, 1, "like", None, None), "timestamp: empty, expected seconds since the start of the data set"),
        (
            (10, 1_700_000_000, 7, 1, "like", None, None),
            "timestamp: '1700000000' is not a whole number from 0 to 26086400",
        ),
        (
            (10, 5, 7, 1, "share", None, None),
            "event_type: 'share' is not one of listen, like, unlike, dislike, undislike",
        ),
    ],
)
def test_a_bad_event_is_refused_and_the_others_are_read(tmp_path, row, reason):
    good = (10, 5, 7, 1, "like", None, None)
    records = read(write_events(tmp_path / "multi_event.parquet", [good, row, good], MULTI))
    assert [type(r) for r in records] == [TrackRecord, PlayRecord, RefusedRow, PlayRecord]
    assert records[2] == RefusedRow("multi_event.parquet", 2, reason)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FormatError, match=r"embeddings\.parquet: the columns are item_id, embed; give files of events"):
        read(write(tmp_path / "embeddings.parquet", item_id=[1], embed=[[0.5]]))
    with pytest.raises(FormatError, match=r"this folder has no multi_event\.parquet or listens\.parquet; name"):
        read(tmp_path)


def test_memory_does_not_hold_the_plays(tmp_path):
    path, count = tmp_path / "likes.parquet", 100_000
    write(
        path,
        uid=np.arange(count, dtype=np.uint32),
        timestamp=np.arange(count, dtype=np.uint32),
        item_id=np.arange(count, dtype=np.uint32) % 100,
        is_organic=np.ones(count, np.uint8),
    )
    read(write_events(tmp_path / "unlikes.parquet", [(10, 5, 7, 1)]))  # load what is imported once
    tracemalloc.start()
    try:
        records = IMPORTER.read([path], namespace="yambda", as_of=PUBLISHED, on_bytes=lambda n: None)
        assert sum(isinstance(record, PlayRecord) for record in records) == count
        assert tracemalloc.get_traced_memory()[1] < 8 << 20  # the records of all events take 50 MB
    finally:
        tracemalloc.stop()
