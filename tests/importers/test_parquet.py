"""The tables of the csv format as Parquet: the same columns, the same checks."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from importers import IMPORTERS, FormatError, RefusedRow, TagRecord

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
AS_OF = 1_700_000_000
NOT_TEXT = "{}: contains bytes that are not UTF-8 text; write text, whole numbers or UUIDs"
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
        "time: '4611686018427 seconds' is not a time in UNIX seconds, UNIX milliseconds or ISO 8601"
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
        RefusedRow("p.parquet", 1, NOT_TEXT.format("user")),
        RefusedRow("p.parquet", 2, "user: contains a NUL character"),
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
    assert refused_row == RefusedRow("t.parquet", 1, NOT_TEXT.format("tags"))
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


UUIDS = [UUID(int=5), UUID("6f1c2a34-9b1e-4f6a-8d3c-5b7e2a9c4d10"), UUID(bytes=b"sixteen letters!")]


@pytest.mark.parametrize("store_schema", [True, False])
@pytest.mark.parametrize("kind", ["extension", "fixed-size binary", "dictionary", "text"])
def test_uuids_are_text_whatever_their_bytes(tmp_path, kind, store_schema):
    storage = pa.array([uuid.bytes for uuid in UUIDS], pa.binary(16))
    column = {
        "extension": pa.ExtensionArray.from_storage(pa.uuid(), storage),
        "fixed-size binary": storage,
        "dictionary": storage.dictionary_encode(),
        "text": pa.array([str(uuid).upper() for uuid in UUIDS]),
    }[kind]
    plays, tracks = tmp_path / "plays.parquet", tmp_path / "tracks.parquet"
    names = pa.array(["a", "b", "c"])
    pq.write_table(
        pa.table({"user_id": column, "track_id": column, "session_id": column, "event_id": column}),
        plays,
        store_schema=store_schema,
    )
    pq.write_table(
        pa.table({"id": column, "title": names, "artist": names, "artist_id": column, "mbid": column}),
        tracks,
        store_schema=store_schema,
    )
    texts = [str(uuid) if kind != "text" else str(uuid).upper() for uuid in UUIDS]
    records = read(tracks, plays)
    assert [(r.external_id, r.artist_id, r.mbid) for r in records[:3]] == [
        (text, text, str(uuid)) for text, uuid in zip(texts, UUIDS, strict=True)
    ]
    assert [(r.user, r.track, r.session, r.event_id) for r in records[3:]] == [
        (text, text, text, uuid.bytes) for text, uuid in zip(texts, UUIDS, strict=True)
    ]


@pytest.mark.parametrize(
    ("column", "track"),
    [
        (pa.array([7], pa.uint8()), "7"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
        (pa.array([-7], pa.int32()), "-7"),
        (pa.array([7.0]), "7"),
        (pa.array([183_456.0], pa.float32()), "183456"),
        (pa.array([7.0], pa.float16()), "7"),
        (pa.array([2.0**53]), "9007199254740992"),
        (pa.array([7.5]), "7.5"),
        (pa.array([7.0]).dictionary_encode(), "7"),
        (pa.array([7]).dictionary_encode(), "7"),
        (pa.array(["t1"]).dictionary_encode(), "t1"),
        (pa.array([Decimal("7.00")], pa.decimal128(10, 2)), "7"),
        (pa.array([Decimal("7.50")], pa.decimal128(10, 2)), "7.50"),
        (pa.array([Decimal(10**39)], pa.decimal256(50, 0)), "1" + "0" * 39),
        (pa.array(["t1"], pa.large_string()), "t1"),
        (pa.array(["t1"], pa.string_view()), "t1"),
        (pa.array([b"t1"]), "t1"),
        (pa.array([b"t1"], pa.large_binary()), "t1"),
        (pa.array([b"t1"], pa.binary_view()), "t1"),
        (pa.array([b"t1"], pa.binary(2)), "t1"),
        (pa.array(["7.0"]), "7"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else value,
)
def test_ids_may_be_text_numbers_or_bytes_of_text(tmp_path, column, track):
    [play] = read(write(tmp_path / "p.parquet", user=column, track=column, time=[1_600_000_000]))
    assert (play.user, play.track) == (track, track)


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pa.array([None], pa.float64()), "user: empty, expected a text of 1 to 128 characters"),
        (pa.array([float("nan")]), "user: empty, expected a text of 1 to 128 characters"),
        (pa.array(["<NA>"]), "user: '<NA>' is not an id; programs write it for a missing value"),
        (pa.array([b"None"]), "user: 'None' is not an id; programs write it for a missing value"),
        (pa.nulls(1), "user: empty, expected a text of 1 to 128 characters"),
        (
            pa.array([2.0**24 + 2], pa.float32()),
            "user: '1.6777218000000000e+07' is not a complete id; write ids as text or whole numbers",
        ),
        (pa.array([float("inf")]), "user: 'inf' is not a complete id; write ids as text or whole numbers"),
        (pa.array([b"\xff\xfe"]), NOT_TEXT.format("user")),
        (pa.array([bytes(range(1, 21))], pa.binary(20)), NOT_TEXT.format("user")),
        (pa.array([b"abc\x01"]), NOT_TEXT.format("user")),
        (pa.array([b"ab\0c"]), NOT_TEXT.format("user")),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_row_whose_id_cannot_be_told_is_refused(tmp_path, column, reason):
    assert read(write(tmp_path / "p.parquet", user=column, track=["t1"], time=[1_600_000_000])) == [
        RefusedRow("p.parquet", 1, reason)
    ]


STRUCTS = [[{"id": 1, "name": "rock"}, {"id": 2, "name": None}, None, {"id": 3, "name": "mood:calm"}]]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["rock", "mood:calm"]]),
        pa.array([["rock", "mood:calm"]], pa.large_list(pa.string())),
        pa.array([["rock", "mood:calm"]], pa.list_(pa.large_string(), 2)),
        pa.array([["rock", "mood:calm"]], pa.list_view(pa.string())),
        pa.array([["rock", None, "mood:calm"]]).cast(pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        pa.array([[b"rock", b"mood:calm"]]),
        pa.array(STRUCTS, pa.list_(pa.struct({"id": pa.int64(), "name": pa.string()}))),
        pa.array([[{"Tag": "rock"}, {"Tag": "mood:calm"}]]),
        pa.array([[("rock", 1), ("mood:calm", 3)]], pa.map_(pa.string(), pa.int32())),
        pa.array(["rock|mood:calm"]),
        pa.array(["rock|mood:calm"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("name", ["tags", "genres"])
def test_tags_may_be_lists_structs_or_maps(tmp_path, name, column):
    [track] = read(write(tmp_path / "t.parquet", id=["t1"], title=["Blue"], artist=["Ann"], **{name: column}))
    assert track.tags == (TagRecord("rock", "other" if name == "tags" else "genre"), TagRecord("calm", "mood"))


def test_a_track_without_tags_is_read(tmp_path):
    type = pa.map_(pa.string(), pa.int32())
    names = ["a", "b"]
    tracks = read(write(tmp_path / "t.parquet", id=names, title=names, artist=names, tags=pa.array([[], None], type)))
    assert [track.tags for track in tracks] == [(), ()]


@pytest.mark.parametrize(
    ("name", "column", "problem"),
    [
        ("tags", pa.array([{"name": "rock"}]), "struct<name: string>; write a list of names"),
        ("tags", pa.array([[1, 2]]), "list<element: int64>; write a list of names"),
        ("genres", pa.array([[["rock"]]]), "list<element: list<element: string>>; write a list of names"),
        (
            "tags",
            pa.array([[{"count": 1}]]),
            "list<element: struct<count: int64>>, without a field name; write a list of names",
        ),
        ("tags", pa.array([[(1, "rock")]], pa.map_(pa.int32(), pa.string())), "; write a list of names"),
        ("id", pa.array([["t1"]]), "list<element: string>; write one value per row"),
        ("Artist", pa.array([{"name": "Ann"}]), "struct<name: string>; write one value per row"),
        ("year", pa.array([1], pa.time32("s")), "time32[ms], which has no date; write timestamps"),
    ],
)
def test_a_column_that_does_not_hold_values_is_refused_by_name(tmp_path, name, column, problem):
    columns = {"id": ["t1"], "title": ["Blue"], "Artist": ["Ann"]} | {name: column}
    path = write(tmp_path / "t.parquet", **columns)
    with pytest.raises(FormatError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: the column {name} is of the type ")
    assert str(error.value).endswith(problem)


def test_columns_that_are_not_read_may_have_any_type(tmp_path):
    path = write(
        tmp_path / "p.parquet",
        user=["alice"],
        track=["t1"],
        time=[1_600_000_000],
        item=pa.array([{"id": 1}]),
        artist=pa.array([["Ann"]]),
        other=pa.array([["x"]]),
    )
    assert [(play.user, play.track) for play in read(path)] == [("alice", "t1")]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_and_durations_may_have_any_unit(tmp_path, unit):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    played, plays = 45 * per_second, []
    for zone in (None, "UTC", "Asia/Kolkata"):
        plays += read(
            write(
                tmp_path / "p.parquet",
                user=["alice"],
                track=["t1"],
                time=pa.array([1_600_000_000 * per_second], pa.timestamp(unit, zone)),
                ms_played=pa.array([played], pa.duration(unit)),
                duration_ms=pa.array([2 * played], pa.duration(unit)),
            )
        )
    assert [(play.time, play.ms_played, play.milestone) for play in plays] == [(1_600_000_000, 45_000, 50)] * 3


def test_dates_are_midnights(tmp_path):
    for type in (pa.date32(), pa.date64()):
        [play] = read(write(tmp_path / "p.parquet", user=["alice"], track=["t1"], time=pa.array([NOON.date()], type)))
        assert play.time == 1_599_955_200


def test_all_numbers_may_be_floats(tmp_path):
    columns = {"plays": 3.0, "ms_played": 183_456.0, "milestone": 91.0, "is_completed": 0.0, "time": 1.6e9}
    [play] = read(
        write(tmp_path / "p.parquet", user=["alice"], track=["t1"], **{name: [n] for name, n in columns.items()})
    )
    assert (play.plays, play.ms_played, play.milestone, play.is_completed) == (3, 183_456, 91, False)
    assert play.time == 1_600_000_000
