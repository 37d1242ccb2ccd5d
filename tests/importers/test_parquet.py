"""The tables of the csv format as Parquet: the same columns, the same checks."""

import sys
from datetime import UTC, datetime, timedelta, timezone

import pytest

from importers import IMPORTERS, FormatError, RefusedRow, TagRecord

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
AS_OF = 1_700_000_000
NOON = datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)  # 1600000000


def read(*paths, name="parquet", on_bytes=lambda n: None):
    return list(IMPORTERS[name].read(paths, namespace="", as_of=AS_OF, on_bytes=on_bytes))


def write(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_a_parquet_table_yields_the_same_records_as_the_csv_table(tmp_path):
    columns = {
        "user": ["alice", "bob", "", "dora"],
        "track": ["t1", "t1", "t1", "t1"],
        "time": [1_600_000_000, 1_600_000_001, 1_600_000_002, 3],
        "plays": [1, 5, 1, 1],
        "is_completed": [True, False, None, True],
    }
    table = write(tmp_path / "plays.parquet", **columns)
    (tmp_path / "plays.csv").write_text(
        "user,track,time,plays,is_completed\nalice,t1,1600000000,1,true\nbob,t1,1600000001,5,false\n"
        ",t1,1600000002,1,\ndora,t1,3,1,true\n"
    )
    from_csv = read(tmp_path / "plays.csv", name="csv")
    assert read(table) == [r._replace(file="plays.parquet", line=r.line - 1) for r in from_csv]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([NOON], pa.timestamp("s", "UTC")),
        pa.array([NOON], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([NOON.replace(tzinfo=None)], pa.timestamp("ms")),
        pa.array([1_600_000_000]),
        pa.array([1_600_000_000_000]),
        pa.array([1_600_000_000.0]),
        pa.array([NOON.astimezone(timezone(timedelta(hours=2))).isoformat()]),
        pa.array(["1600000000"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_times_may_be_timestamps_numbers_or_text(tmp_path, column):
    [play] = read(write(tmp_path / "p.parquet", user=["alice"], track=[7], time=column))
    assert (play.time, play.track) == (1_600_000_000, "7")


def test_a_time_beyond_the_calendar_is_refused(tmp_path):
    column = pa.array([2**62], pa.timestamp("us"))
    [refused_row] = read(write(tmp_path / "p.parquet", user=["alice"], track=["t1"], time=column))
    assert refused_row.reason == (
        "time: '4611686018427387904 microseconds' is not a time in UNIX seconds, UNIX milliseconds or ISO 8601"
    )


def test_missing_values_and_lists_are_read(tmp_path):
    path = write(
        tmp_path / "t.parquet",
        id=["t1", "t2"],
        title=["Blue", "Red"],
        artist=["Ann", None],
        year=pa.array([1999.0, float("nan")]),
        tempo=pa.array([120.5, None]),
        genres=pa.array([["rock", "mood:calm"], None]),
    )
    track, refused_row = read(path)
    assert (track.year, track.tempo, track.tags) == (
        1999,
        120.5,
        (TagRecord("rock", "genre"), TagRecord("calm", "mood")),
    )
    assert refused_row == RefusedRow("t.parquet", 2, "artist: empty, expected a text of 1 to 512 characters")


def test_only_the_rows_with_invalid_text_are_refused(tmp_path):
    users = pa.array([b"al\xffice", b"bo\0b", b"charlie"]).cast(pa.binary())
    users = pa.Array.from_buffers(pa.string(), 3, users.buffers())
    records = read(write(tmp_path / "p.parquet", user=users, track=["t1"] * 3, time=[1_600_000_000] * 3))
    assert records[:2] == [
        RefusedRow("p.parquet", 1, "row: contains bytes that are not UTF-8"),
        RefusedRow("p.parquet", 2, "row: contains a NUL character"),
    ]
    assert records[2].user == "charlie"


def test_only_the_row_with_invalid_text_in_a_list_is_refused(tmp_path):
    texts = pa.array([b"ro\xffck", b"pop"]).cast(pa.binary())
    tags = pa.ListArray.from_arrays(
        pa.array([0, 1, 2], pa.int32()), pa.Array.from_buffers(pa.string(), 2, texts.buffers())
    )
    refused_row, track = read(
        write(tmp_path / "t.parquet", id=["t1", "t2"], title=["a", "b"], artist=["c", "d"], tags=tags)
    )
    assert refused_row == RefusedRow("t.parquet", 1, "row: contains bytes that are not UTF-8")
    assert track.tags == (TagRecord("pop", "other"),)


def test_files_of_a_folder_are_found_by_their_names_and_reported_bytes_add_up(tmp_path):
    write(tmp_path / "tracks.parquet", id=["t1"], title=["Blue"], artist=["Ann"])
    write(tmp_path / "plays.parquet", user=["alice"] * 9_000, track=["t1"] * 9_000, time=[1_600_000_000] * 9_000)
    consumed = []
    records = read(tmp_path, on_bytes=consumed.append)
    assert [r.file for r in records] == ["tracks.parquet"] + ["plays.parquet"] * 9_000
    assert sum(consumed) == IMPORTERS["parquet"].total_bytes([tmp_path])


def test_a_file_that_is_not_parquet_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_text("user,track\n" * 10)
    with pytest.raises(FormatError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: this is not a Parquet file (")
    with pytest.raises(FormatError, match="a file of plays needs a column track"):
        read(write(path, user=["alice"]))


def test_without_pyarrow_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    path = write(tmp_path / "p.parquet", user=["alice"], track=["t1"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FormatError) as error:
        read(path)
    assert str(error.value) == (
        "Parquet files need pyarrow, which is not installed; pip install -r requirements-parquet.txt"
    )
