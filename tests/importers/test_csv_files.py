"""Files of plays as comma, semicolon or tab separated text."""

import hashlib
from pathlib import Path

import pytest

from importers import IMPORTERS, FormatError, PlayRecord, Record, RefusedRow, TrackRecord

AS_OF = 1_700_000_000  # 2023-11-14T22:13:20Z


def read(*paths: Path, namespace: str = "") -> list[Record]:
    return list(IMPORTERS["csv"].read(paths, namespace=namespace, as_of=AS_OF, on_bytes=lambda n: None))


@pytest.fixture
def read_plays(tmp_path):
    """Return a function that writes a file of plays and reads it."""

    def read_text(text: str | bytes, name: str = "plays.csv", **options: str) -> list[Record]:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read(path, **options)

    return read_text


def refused_rows(records: list[Record]) -> list[RefusedRow]:
    return [record for record in records if isinstance(record, RefusedRow)]


def hash_of(identity: str) -> bytes:
    return hashlib.blake2b(identity.encode(), digest_size=16).digest()


def test_a_play_without_optional_columns_counts_as_completed(read_plays):
    assert read_plays("user,track,time\nalice,t1,1600000000\n") == [
        PlayRecord(
            user="alice",
            track="t1",
            time=1_600_000_000,
            plays=1,
            kind="play",
            ms_played=None,
            milestone=100,
            is_completed=True,
            event_id=hash_of("\0alice\0t1\x001600000000\0play"),
            file="plays.csv",
            line=2,
        )
    ]


def test_every_column_is_read(read_plays):
    [play] = read_plays(
        "listener;item;listened_at;play_count;event_type;ms_played;milestone;is_completed;session_id;device;context;"
        "event_id\nalice;t1;1600000000;1;LIKE;61000;50;no;s1;phone;radio;6F9619FF-8B86-D011-B42D-00C04FC964FF\n"
    )
    assert play == PlayRecord(
        user="alice",
        track="t1",
        time=1_600_000_000,
        kind="like",
        ms_played=61_000,
        milestone=50,
        is_completed=False,
        session="s1",
        device="phone",
        context="radio",
        event_id=bytes.fromhex("6f9619ff8b86d011b42d00c04fc964ff"),
        file="plays.csv",
        line=2,
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1600000000", 1_600_000_000),
        ("1600000000.9", 1_600_000_000),
        ("1600000000999", 1_600_000_000),
        ("2020-09-13T12:26:40Z", 1_600_000_000),
        ("2020-09-13 12:26:40", 1_600_000_000),
        ("2020-09-13T14:26:40.123456+02:00", 1_600_000_000),
        ("2020-09-13", 1_599_955_200),
    ],
)
def test_times_are_unix_seconds_milliseconds_or_iso_8601(read_plays, written, seconds):
    [play] = read_plays(f"user,track,time\nalice,t1,{written}\n")
    assert play.time == seconds


@pytest.mark.parametrize(
    ("columns", "cells", "milestone", "is_completed"),
    [
        ("ms_played,milestone,is_completed", ",,", 100, True),
        ("ms_played", "5000", 0, False),
        ("ms_played,duration_ms", "45000,60000", 75, False),
        ("ms_played,duration_ms", "70000,60000", 100, True),
        ("milestone", "75", 75, False),
        ("milestone", "100", 100, True),
        ("is_completed", "yes", 100, True),
        ("is_completed", "0", 0, False),
        ("kind", "like", 0, False),
    ],
)
def test_missing_milestones_and_completions_are_inferred(read_plays, columns, cells, milestone, is_completed):
    [play] = read_plays(f"user,track,time,{columns}\nalice,t1,1600000000,{cells}\n")
    assert (play.milestone, play.is_completed) == (milestone, is_completed)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (",t1,1600000000,", "user: empty, expected a text of 1 to 128 characters"),
        ("alice, ,1600000000,", "track: empty, expected a text of 1 to 128 characters"),
        (f"alice,{'x' * 129},1600000000,", f"track: '{'x' * 39}…' is not a text of 1 to 128 characters"),
        ("alice,t1,,", "time: empty, expected a time in UNIX seconds, UNIX milliseconds or ISO 8601"),
        ("alice,t1,soon,", "time: 'soon' is not a time in UNIX seconds, UNIX milliseconds or ISO 8601"),
        ("alice,t1,946684799,", "time: '946684799' is not a time from the year 2000 to the day after the import"),
        ("alice,t1,1700086401,", "time: '1700086401' is not a time from the year 2000 to the day after the import"),
        ("alice,t1,1600000000,0", "plays: '0' is not a whole number from 1 to 2147483647"),
        ("alice,t1,1600000000,2.5", "plays: '2.5' is not a whole number from 1 to 2147483647"),
        ("alice,t1,1600000000,2147483648", "plays: '2147483648' is not a whole number from 1 to 2147483647"),
        ("alice,t1,1600000000", "fields: 3 of them where the header names 4 columns"),
        ("alice,t1,1600000000,1,1", "fields: 5 of them where the header names 4 columns"),
        ("al\0ice,t1,1600000000,", "line: contains a NUL character"),
        ("alice,NaN,1600000000,", "track: 'NaN' is not an id; programs write it for a missing value"),
        (
            "1.2345678901234568e+17,t1,1600000000,",
            "user: '1.2345678901234568e+17' is not a complete id; write ids as text or whole numbers",
        ),
        ("alice,t1,NaT,", "time: 'NaT' is not a time in UNIX seconds, UNIX milliseconds or ISO 8601"),
    ],
)
def test_a_bad_row_is_refused_and_the_others_are_read(read_plays, row, reason):
    records = read_plays(f"user,track,time,plays\nbob,t1,1600000000,\n{row}\ncharlie,t1,1600000000,\n")
    assert refused_rows(records) == [RefusedRow("plays.csv", 3, reason)]
    assert [r.user for r in records if isinstance(r, PlayRecord)] == ["bob", "charlie"]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("milestone", "101", "milestone: '101' is not a whole number from 0 to 100"),
        ("ms_played", "-1", "ms_played: '-1' is not a whole number from 0 to 2147483647"),
        ("is_completed", "maybe", "is_completed: 'maybe' is not true, false, 1, 0, yes or no"),
        ("kind", "skip", "kind: 'skip' is not play or like"),
        ("event_id", "17", "event_id: '17' is not a UUID"),
        ("session", "s" * 65, f"session: '{'s' * 39}…' is not a text of at most 64 characters"),
    ],
)
def test_a_row_with_an_invalid_optional_value_is_refused(read_plays, column, value, reason):
    records = read_plays(f"user,track,time,{column}\nalice,t1,1600000000,{value}\n")
    assert records == [RefusedRow("plays.csv", 2, reason)]


def test_only_the_line_that_is_not_utf_8_is_refused(read_plays):
    records = read_plays(b"user,track,time\nZo\xeb,t1,1600000000\nzoe,t1,1600000000\n")
    assert records[0] == RefusedRow("plays.csv", 2, "line: byte 3 is not UTF-8; save the file as UTF-8")
    assert [r.line for r in records] == [2, 3]


@pytest.mark.parametrize("word", ["None", "nan", "NaN", "NULL", "null", "<NA>", "NaT", "NA", "N/A", r"\N", "undefined"])
def test_words_for_missing_values_are_no_listeners(read_plays, word):
    for namespace in ("", "radio"):
        assert read_plays(f"user,track,time\n {word} ,t1,1600000000\n", namespace=namespace) == [
            RefusedRow("plays.csv", 2, f"user: {word!r} is not an id; programs write it for a missing value")
        ]


def test_words_for_missing_values_are_empty_cells_of_optional_columns(read_plays):
    columns = "plays,kind,ms_played,duration_ms,milestone,is_completed,session,device,context,event_id"
    header, count = f"user,track,time,{columns}\n", columns.count(",") + 1
    [expected] = read_plays(f"{header}alice,t1,1600000000{',' * count}\n")
    for word in ("None", "nan", "null"):
        assert read_plays(f"{header}alice,t1,1600000000{f',{word}' * count}\n") == [expected]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("7.0", "7"),
        ("183456.00", "183456"),
        ("-7.", "-7"),
        ("0.0", "0"),
        ("7.5", "7.5"),
        ("007.0", "007.0"),
        ("1e5", "1e5"),
        ("1.2.0", "1.2.0"),
        (".0", ".0"),
    ],
)
def test_ids_written_as_floats_are_whole_numbers(read_plays, written, read):
    [play] = read_plays(f"user,track,session,time\n{written},{written},{written},1600000000.0\n", namespace="radio")
    assert (play.user, play.track, play.session) == (f"radio:{read}", f"radio:{read}", read)
    assert play.event_id == hash_of(f"radio\0radio:{read}\0radio:{read}\x001600000000\0play")


def test_whole_numbers_may_be_written_as_floats(read_plays):
    [play] = read_plays(
        "user,track,time,plays,ms_played,duration_ms,milestone,is_completed\n"
        "alice,t1,1600000000.0,3.0,183456.0,200000.0,91.0,0.0\n"
    )
    assert (play.time, play.plays, play.ms_played, play.milestone, play.is_completed) == (
        1_600_000_000,
        3,
        183_456,
        91,
        False,
    )


def test_ids_are_prefixed_with_the_namespace(read_plays):
    [play] = read_plays("user,track,time\nalice,t1,1600000000\n", namespace="radio")
    assert (play.user, play.track) == ("radio:alice", "radio:t1")
    assert play.event_id == hash_of("radio\0radio:alice\0radio:t1\x001600000000\0play")


def test_byte_order_marks_carriage_returns_and_blank_lines_are_ignored(read_plays):
    records = read_plays("\ufeffUser,Track,Time\r\n\r\nalice,t1,1600000000\r\n   \r\nbob,t1,1600000000")
    assert [(r.user, r.line) for r in records] == [("alice", 3), ("bob", 5)]


def test_equal_rows_have_equal_event_ids(read_plays):
    text = "user,track,time\nalice,t1,1600000000\nalice,t1,1600000000\nalice,t1,1600000001\n"
    first, second, later = (r.event_id for r in read_plays(text))
    assert first == second != later
    assert [r.event_id for r in read_plays(text)] == [first, second, later]


def test_the_event_id_of_a_total_does_not_depend_on_the_time_of_the_import(read_plays, tmp_path):
    path = tmp_path / "totals.csv"
    path.write_text("user,track,plays\nalice,t1,13\nbob,t1,1\n")
    now, later = (
        list(IMPORTERS["csv"].read([path], namespace="", as_of=as_of, on_bytes=lambda n: None))
        for as_of in (AS_OF, AS_OF + 9)
    )
    assert [(r.plays, r.time) for r in now] == [(13, AS_OF), (1, AS_OF)]
    assert (
        [r.event_id for r in now]
        == [r.event_id for r in later]
        == [hash_of(f"\0{u}\0t1\0\0play") for u in ("alice", "bob")]
    )


def test_plays_with_title_and_artist_yield_their_tracks(read_plays):
    records = read_plays(
        "user,track_id,track,artist,time\nalice,t1,Blue,Ann Oakmere,1600000000\nbob,t1,Blue,Ann Oakmere,1600000000\n"
    )
    assert [type(r) for r in records] == [TrackRecord, PlayRecord, PlayRecord]
    assert records[0] == TrackRecord("t1", "Blue", "Ann Oakmere", "name:ann oakmere", file="plays.csv", line=2)


def test_a_row_without_a_title_is_still_a_play(read_plays):
    records = read_plays("user,track,title,artist,time\nalice,t1,,,1600000000\nalice,t1,Blue,Ann,1600000001\n")
    assert [(type(r), r.line) for r in records] == [(PlayRecord, 2), (TrackRecord, 3), (PlayRecord, 3)]


def test_quoted_fields_may_contain_separators_quotes_and_line_breaks(read_plays):
    records = read_plays(
        'user,track,title,artist,time\nalice,t1,"A ""B"", C","Two\nLines",1600000000\nbob,t1,,,1600000000\n'
    )
    assert [r.line for r in records] == [2, 2, 4]
    assert (records[0].title, records[0].artist) == ('A "B", C', "Two\nLines")


@pytest.mark.parametrize(
    ("row", "title", "artist"),
    [
        ('"alice", "t1", "1600000000", "A, B", "C"', "A, B", "C"),
        ('alice,  t1,  1600000000,  "A, B",  C', "A, B", "C"),
        ('"alice" , "t1" , "1600000000" , "A, B" , "C" ', "A, B", "C"),
        ('alice, t1, 1600000000, "Two\nLines" , "C"', "Two\nLines", "C"),
        ('alice, t1, 1600000000, "A ""B"" , D", "C"', 'A "B" , D', "C"),
        ('alice, t1, 1600000000, "Heroes, Ann', '"Heroes', "Ann"),
        ('alice, t1, 1600000000, 7" Single, Ann', '7" Single', "Ann"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";"])
def test_spaces_around_a_quoted_field_do_not_belong_to_it(read_plays, row, title, artist, separator):
    header = '"user", "track_id", "time", "title", "artist"'
    track, play = read_plays(f"{header}\n{row}\n".replace(",", separator))
    assert (track.title, track.artist) == (title.replace(",", separator), artist)
    assert (play.user, play.track) == ("alice", "t1")


def test_a_quote_inside_an_unquoted_field_is_an_ordinary_character(read_plays):
    [track, _] = read_plays('user,track,title,artist,time\nalice,t1,7" Single,Ann,1600000000\n')
    assert track.title == '7" Single'


STRAY = (
    'quotes: a quoted field does not end where it should; write a quote inside a quoted field as "", '
    "and put quotes around a field that begins with one"
)


@pytest.mark.parametrize("following", [1, 19, 20, 21, 100])
def test_a_stray_opening_quote_refuses_only_its_own_line(read_plays, following):
    rest = "".join(f"bob,t{n},1600000000\n" for n in range(following))
    records = read_plays(f'user,track,time\n"alice,t1,1600000000\n{rest}')
    assert records[0] == RefusedRow("plays.csv", 2, STRAY)
    assert [r.line for r in records[1:]] == list(range(3, 3 + following))


def test_two_stray_quotes_do_not_swallow_the_rows_between_them(read_plays):
    records = read_plays('user,track,time\n"alice,t1,1600000000\nbob,t1,1600000000\n"charlie,t1,1600000000\n')
    assert [(type(r), r.line) for r in records] == [(RefusedRow, 2), (PlayRecord, 3), (RefusedRow, 4)]


def test_tab_separated_text_has_no_quoting(read_plays):
    text = 'user\ttrack\ttitle\tartist\ttime\nalice\t"t1\t"Heroes\tAnn\t1600000000\n'
    [track, play] = read_plays(text, name="plays.tsv")
    assert (track.title, play.track) == ('"Heroes', '"t1')


def test_a_header_may_be_quoted(read_plays):
    [play] = read_plays('"User","Track","Time","Notes, if any"\n"alice","t1","1600000000","none"\n')
    assert (play.user, play.track, play.time) == ("alice", "t1", 1_600_000_000)


def test_files_of_tracks_are_read_before_files_of_plays(tmp_path):
    (tmp_path / "a.csv").write_text("user,track,time\nalice,t1,1600000000\n")
    (tmp_path / "b.csv").write_text("id,title,artist\nt1,Blue,Ann\n")
    assert [r.file for r in read(tmp_path / "a.csv", tmp_path / "b.csv")] == ["b.csv", "a.csv"]


def test_files_of_a_folder_are_found_by_their_names(tmp_path):
    (tmp_path / "plays.csv").write_text("user,track,time\nalice,t1,1600000000\n")
    (tmp_path / "tracks.tsv").write_text("id\ttitle\tartist\nt1\tBlue\tAnn\n")
    (tmp_path / "notes.csv").write_text("not a table\n")
    assert [r.file for r in read(tmp_path)] == ["tracks.tsv", "plays.csv"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{path}: the first line is empty; it must name the columns"),
        (b"\xff\xfeu\0s\0e\0r\0", "{path}: the header line is not UTF-8; save the file as UTF-8"),
        (b"user\0,track", "{path}: this is not a text file; give a text file whose first line names the columns"),
        (
            b"user,time",
            "{path}: a file of plays needs a column track (track_id, track, item); its header has user, time",
        ),
        (
            b"id,title",
            "{path}: a file of tracks needs a column artist (artist_name, artist), and one of plays a column user "
            "(user_id, user, listener); its header has id, title",
        ),
        (b"user,track,user", "{path}: the header names user more than once; rename or remove one"),
    ],
)
def test_an_unusable_file_raises_before_the_first_record(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError) as error:
        IMPORTERS["csv"].read([path], namespace="", as_of=AS_OF, on_bytes=lambda n: None)
    assert str(error.value) == message.format(path=path)


def test_missing_input_is_reported(tmp_path):
    with pytest.raises(FormatError, match=r"missing\.csv: there is no such file; check the path"):
        read(tmp_path / "missing.csv")
    with pytest.raises(FormatError, match=r"this folder has no tracks\.csv or .* name the files themselves"):
        read(tmp_path)
    with pytest.raises(FormatError, match="no input: name a file"):
        read()


def test_reported_bytes_add_up_to_total_bytes(tmp_path):
    path, consumed = tmp_path / "plays.csv", []
    path.write_text("user,track,time\n" + "alice,t1,1600000000\n" * 20_000)
    list(IMPORTERS["csv"].read([path], namespace="", as_of=AS_OF, on_bytes=consumed.append))
    assert sum(consumed) == IMPORTERS["csv"].total_bytes([path]) == path.stat().st_size
    assert 5 <= len(consumed) <= 20


def test_totals_with_different_times_are_different_events(read_plays):
    first, second = read_plays("user,track,time,plays\nalice,t1,1600000000,13\nalice,t1,1600604800,5\n")
    assert first.event_id != second.event_id
