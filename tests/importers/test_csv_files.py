"""Files of plays as comma, semicolon or tab separated text."""

import hashlib
from pathlib import Path

import pytest

from importers import IMPORTERS, FormatError, PlayRecord, Record, RefusedRow, TrackRecord

AS_OF = 1_700_000_000  # 2023-11-14T22:13:20Z


def read(*paths: Path, namespace: str = "") -> list[Record]:
    return list(IMPORTERS["csv"].read(paths, namespace=namespace, as_of=AS_OF, on_bytes=lambda n: None))


@pytest.fixture
def plays(tmp_path):
    """Reads a file of plays with the text given."""

    def read_text(text: str | bytes, name: str = "plays.csv", **options: str) -> list[Record]:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read(path, **options)

    return read_text


def refusals(records: list[Record]) -> list[RefusedRow]:
    return [r for r in records if isinstance(r, RefusedRow)]


def event(identity: str) -> bytes:
    return hashlib.blake2b(identity.encode(), digest_size=16).digest()


def test_a_play_without_further_columns_is_a_listen_as_counted_by_its_source(plays):
    assert plays("user,track,time\nalice,t1,1600000000\n") == [
        PlayRecord(
            user="alice",
            track="t1",
            time=1_600_000_000,
            plays=1,
            kind="play",
            ms_played=None,
            milestone=100,
            is_completed=True,
            event_id=event("\0alice\0t1\x001600000000\0play"),
            file="plays.csv",
            line=2,
        )
    ]


def test_every_column_is_read(plays):
    [play] = plays(
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
def test_times_are_unix_seconds_milliseconds_or_iso_8601(plays, written, seconds):
    [play] = plays(f"user,track,time\nalice,t1,{written}\n")
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
def test_what_was_heard_follows_from_what_the_row_carries(plays, columns, cells, milestone, is_completed):
    [play] = plays(f"user,track,time,{columns}\nalice,t1,1600000000,{cells}\n")
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
    ],
)
def test_a_bad_row_is_refused_and_the_others_go_on(plays, row, reason):
    records = plays(f"user,track,time,plays\nbob,t1,1600000000,\n{row}\ncharlie,t1,1600000000,\n")
    assert refusals(records) == [RefusedRow("plays.csv", 3, reason)]
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
def test_an_optional_value_that_is_wrong_refuses_its_row(plays, column, value, reason):
    assert plays(f"user,track,time,{column}\nalice,t1,1600000000,{value}\n") == [RefusedRow("plays.csv", 2, reason)]


def test_bytes_that_are_not_utf_8_refuse_their_line_only(plays):
    records = plays(b"user,track,time\nZo\xeb,t1,1600000000\nzoe,t1,1600000000\n")
    assert records[0] == RefusedRow("plays.csv", 2, "line: byte 3 is not UTF-8; save the file as UTF-8")
    assert [r.line for r in records] == [2, 3]


def test_the_namespace_comes_before_outside_ids(plays):
    [play] = plays("user,track,time\nalice,t1,1600000000\n", namespace="radio")
    assert (play.user, play.track) == ("radio:alice", "radio:t1")
    assert play.event_id == event("radio\0radio:alice\0radio:t1\x001600000000\0play")


def test_byte_order_mark_carriage_returns_and_blank_lines_do_no_harm(plays):
    records = plays("\ufeffUser,Track,Time\r\n\r\nalice,t1,1600000000\r\n   \r\nbob,t1,1600000000")
    assert [(r.user, r.line) for r in records] == [("alice", 3), ("bob", 5)]


def test_the_same_row_is_the_same_event(plays):
    text = "user,track,time\nalice,t1,1600000000\nalice,t1,1600000000\nalice,t1,1600000001\n"
    first, second, later = (r.event_id for r in plays(text))
    assert first == second != later
    assert [r.event_id for r in plays(text)] == [first, second, later]


def test_a_total_is_the_same_event_whenever_it_is_read(plays, tmp_path):
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
        == [event(f"\0{u}\0t1\0\0play") for u in ("alice", "bob")]
    )


def test_plays_that_name_title_and_artist_bring_their_tracks_along(plays):
    records = plays(
        "user,track_id,track,artist,time\nalice,t1,Blue,Ann Oakmere,1600000000\nbob,t1,Blue,Ann Oakmere,1600000000\n"
    )
    assert [type(r) for r in records] == [TrackRecord, PlayRecord, PlayRecord]
    assert records[0] == TrackRecord("t1", "Blue", "Ann Oakmere", "name:ann oakmere", file="plays.csv", line=2)


def test_a_row_that_leaves_the_title_empty_is_a_play_all_the_same(plays):
    records = plays("user,track,title,artist,time\nalice,t1,,,1600000000\nalice,t1,Blue,Ann,1600000001\n")
    assert [(type(r), r.line) for r in records] == [(PlayRecord, 2), (TrackRecord, 3), (PlayRecord, 3)]


def test_quoted_fields_hold_separators_quotes_and_line_breaks(plays):
    records = plays(
        'user,track,title,artist,time\nalice,t1,"A ""B"", C","Two\nLines",1600000000\nbob,t1,,,1600000000\n'
    )
    assert [r.line for r in records] == [2, 2, 4]
    assert (records[0].title, records[0].artist) == ('A "B", C', "Two\nLines")


def test_a_quote_inside_an_unquoted_field_is_an_ordinary_character(plays):
    [track, _] = plays('user,track,title,artist,time\nalice,t1,7" Single,Ann,1600000000\n')
    assert track.title == '7" Single'


STRAY = (
    'quotes: a quoted field does not end where it should; write a quote inside a quoted field as "", '
    "and put quotes around a field that begins with one"
)


@pytest.mark.parametrize("following", [1, 19, 20, 21, 100])
def test_a_stray_opening_quote_costs_one_line(plays, following):
    rest = "".join(f"bob,t{n},1600000000\n" for n in range(following))
    records = plays(f'user,track,time\n"alice,t1,1600000000\n{rest}')
    assert records[0] == RefusedRow("plays.csv", 2, STRAY)
    assert [r.line for r in records[1:]] == list(range(3, 3 + following))


def test_two_stray_quotes_do_not_swallow_the_rows_between_them(plays):
    records = plays('user,track,time\n"alice,t1,1600000000\nbob,t1,1600000000\n"charlie,t1,1600000000\n')
    assert [(type(r), r.line) for r in records] == [(RefusedRow, 2), (PlayRecord, 3), (RefusedRow, 4)]


def test_quotes_mean_nothing_in_tab_separated_text(plays):
    [track, play] = plays('user\ttrack\ttitle\tartist\ttime\nalice\t"t1\t"Heroes\tAnn\t1600000000\n', name="plays.tsv")
    assert (track.title, play.track) == ('"Heroes', '"t1')


def test_a_header_may_be_quoted(plays):
    [play] = plays('"User","Track","Time","Notes, if any"\n"alice","t1","1600000000","none"\n')
    assert (play.user, play.track, play.time) == ("alice", "t1", 1_600_000_000)


def test_files_of_tracks_are_read_first_whatever_their_order(tmp_path):
    (tmp_path / "a.csv").write_text("user,track,time\nalice,t1,1600000000\n")
    (tmp_path / "b.csv").write_text("id,title,artist\nt1,Blue,Ann\n")
    assert [r.file for r in read(tmp_path / "a.csv", tmp_path / "b.csv")] == ["b.csv", "a.csv"]


def test_a_folder_stands_for_its_tracks_and_plays(tmp_path):
    (tmp_path / "plays.csv").write_text("user,track,time\nalice,t1,1600000000\n")
    (tmp_path / "tracks.tsv").write_text("id\ttitle\tartist\nt1\tBlue\tAnn\n")
    (tmp_path / "notes.csv").write_text("nothing of ours\n")
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
def test_an_unusable_file_says_what_is_wrong_before_anything_is_read(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError) as refused:
        IMPORTERS["csv"].read([path], namespace="", as_of=AS_OF, on_bytes=lambda n: None)
    assert str(refused.value) == message.format(path=path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FormatError, match=r"gone\.csv: there is no such file; check the path"):
        read(tmp_path / "gone.csv")
    with pytest.raises(FormatError, match=r"this folder has no tracks\.csv or .* name the files themselves"):
        read(tmp_path)
    with pytest.raises(FormatError, match="no input: name a file"):
        read()


def test_on_bytes_adds_up_to_total_bytes(tmp_path):
    path, consumed = tmp_path / "plays.csv", []
    path.write_text("user,track,time\n" + "alice,t1,1600000000\n" * 20_000)
    list(IMPORTERS["csv"].read([path], namespace="", as_of=AS_OF, on_bytes=consumed.append))
    assert sum(consumed) == IMPORTERS["csv"].total_bytes([path]) == path.stat().st_size
    assert 5 <= len(consumed) <= 20


def test_totals_of_two_weeks_are_two_events(plays):
    first, second = plays("user,track,time,plays\nalice,t1,1600000000,13\nalice,t1,1600604800,5\n")
    assert first.event_id != second.event_id
