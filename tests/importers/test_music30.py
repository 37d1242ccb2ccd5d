"""The 30Music data set: a small file like the original one, and the original one if it is available."""

import os
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from importers import IMPORTERS, FormatError, PlayRecord, RefusedRow, TagRecord, TrackRecord
from importers.records import placeholder_track, play_event_id
from musicrec.processes import ROOT

AS_OF = 1_700_000_000
DATA = Path(os.environ.get("MUSICREC_DATA") or ROOT.parent / "shared" / "data") / "30music-events"
IMPORTER = IMPORTERS["30music"]


def read(path):
    return list(IMPORTER.read([path], namespace=IMPORTER.namespace, as_of=AS_OF, on_bytes=lambda n: None))


def test_tracks_come_before_their_first_play(tmp_path):
    (tmp_path / "events.tsv").write_text(
        "window\tuser\tsession\ttrack\tts\tartist\n0\t33\t98\t26\t1397965917\t33\n0\t34\t99\t26\t1397965918\t33\n"
        "0\t34\t99\t26\tnoon\t33\n"
    )
    track, first, second, refused_row = read(tmp_path)
    assert track == TrackRecord(
        "30music:26", "Track 26", "Artist 33", "30music:33", has_placeholder_names=True, file="events.tsv", line=2
    )
    assert (first.user, first.session, first.time, first.milestone) == ("30music:33", "98", 1_397_965_917, 100)
    assert (second.user, second.line) == ("30music:34", 3)
    assert refused_row.reason == "time: 'noon' is not a time in UNIX seconds, UNIX milliseconds or ISO 8601"
    assert read(tmp_path / "events.tsv") == read(tmp_path)


def test_missing_columns_are_named(tmp_path):
    (tmp_path / "events.tsv").write_text("user\ttrack\tts\n")
    with pytest.raises(FormatError, match=r"no column session \(session\) and no column artist_id \(artist\)"):
        read(tmp_path)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} does not exist; set MUSICREC_DATA")
def test_the_original_events_are_read_completely():
    records = read(DATA)
    assert Counter(type(r) for r in records) == {TrackRecord: 36_781, PlayRecord: 64_598}


PERSONS = 'person\t2\t-1\t{"MBID":null,"name":"Ann+Oakmere"}\t{}\n'
ALBUMS = 'album\t5\t-1\t{"MBID":null,"title":"Sea+%26+Sky"}\t{}\n'
TAGS = 'tag\t8\t-1\t{"value":"dream+pop","url":"http://x.example/tag"}\t{}\ntag\t9\t-1\t{"value":""u"x"}\t{}\n'
TRACKS = (
    'track\t42\t-1\t{"duration":216000,"playcount":4,"MBID":null,"name":"Ann+Oakmere/_/Blue%27s+Song"}\t'
    '{"artists":[{"type":"person","id":2}],"albums":[{"type":"album","id":5}],"tags":[{"type":"tag","id":8},'
    '{"type":"tag","id":9}]}\n'
    'track\t43\t-1\t{"duration":-1,"playcount":1,"MBID":null,"name":"Bob%2FBen/_/Red"}\t'
    '{"artists":[{"type":"person","id":3}],"albums":null,"tags":null}\n'
)
EVENTS = (
    'event.play\t0\t1421050065\t{"playtime":108}\t{"subjects":[{"type":"user","id":7}],'
    '"objects":[{"type":"track","id":42}]}\n'
    'event.play\t1\t1421050265\t{"playtime":-1}\t{"subjects":[{"type":"user","id":7}],'
    '"objects":[{"type":"track","id":43}]}\n'
    'event.play\t2\t1421050465\t{"playtime":12}\t{"subjects":[{"type":"user","id":7}],'
    '"objects":[{"type":"track","id":44}]}\n'
    'event.play\t3\t-1\t{"playtime":12}\t{"subjects":[{"type":"user","id":7}],"objects":[{"type":"track","id":42}]}\n'
    'event.play\t4\t1421050465\t{"playtime":12}\t{"subjects":[],"objects":[{"type":"track","id":42}]}\n'
    'event.play\t5\t1421050465\t{"playtime":12\n'
)
LOVE = 'preference\t1\t-1 {"value":"love"} {"subjects":[{"type":"user","id":7}],"objects":[{"type":"track","id":42}]}\n'
SESSIONS = (
    'event.session\t98\t1421050065\t{"numtracks":2,"playtime":300} {"subjects":[{"type":"user","id":7}],'
    '"objects":[{"type":"track","id":42,"playstart":0,"playtime":216,"playratio":1.0,"action":"play"},[],'
    '{"type":"track","id":43,"playstart":216,"playtime":-1,"playratio":null,"action":null}]}\n'
)


@pytest.fixture
def published(tmp_path):
    """Return a folder like the published one."""
    files = {"persons": PERSONS, "albums": ALBUMS, "tags": TAGS, "tracks": TRACKS}
    for folder, contents in (("entities", files), ("relations", {"events": EVENTS, "love": LOVE})):
        (tmp_path / folder).mkdir()
        for name, content in contents.items():
            (tmp_path / folder / f"{name}.idomaar").write_text(content)
    (tmp_path / "entities" / "users.idomaar").write_text('user\t7\t1116715959\t{"lastfm_username":"x"}\n')
    (tmp_path / "relations" / "sessions.idomaar").write_text(SESSIONS)
    return tmp_path


def test_the_published_files_are_read_with_their_names(published):
    tag, blue, red, *events = read(published)
    assert tag == RefusedRow("tags.idomaar", 2, """line: '{"value":""u"x"}\\t{}' is not JSON""")
    assert blue == TrackRecord(
        "30music:42",
        "Blue's Song",
        "Ann Oakmere",
        "30music:2",
        album="Sea & Sky",
        album_id="30music:5",
        duration_ms=216_000,
        tags=(TagRecord("dream pop"),),
        file="tracks.idomaar",
        line=1,
    )
    assert red == TrackRecord("30music:43", "Red", "Bob/Ben", "30music:3", file="tracks.idomaar", line=2)
    half, unknown_part, track, skipped, *refused_rows, like = events
    assert half == PlayRecord(
        "30music:7",
        "30music:42",
        1_421_050_065,
        ms_played=108_000,
        milestone=50,
        event_id=play_event_id("30music", "30music:7", "30music:42", 1_421_050_065, "play"),
        file="events.idomaar",
        line=1,
    )
    assert (unknown_part.track, unknown_part.ms_played, unknown_part.milestone) == ("30music:43", None, 100)
    assert track == placeholder_track("30music:", "44")._replace(file="events.idomaar", line=3)
    assert (skipped.track, skipped.ms_played, skipped.milestone, skipped.is_completed) == (
        "30music:44",
        12_000,
        0,
        False,
    )
    assert refused_rows == [
        RefusedRow("events.idomaar", 4, "time: '-1' is not a time from the year 2000 to the day after the import"),
        RefusedRow("events.idomaar", 5, "user: empty, expected a text of 1 to 120 characters"),
        RefusedRow("events.idomaar", 6, """line: '{"playtime":12' is not JSON"""),
    ]
    assert like == PlayRecord(
        "30music:7",
        "30music:42",
        AS_OF,
        kind="like",
        event_id=play_event_id("30music", "30music:7", "30music:42", None, "like"),
        file="love.idomaar",
        line=1,
    )


def test_the_order_of_files_on_the_command_line_does_not_matter(published):
    files = [path for path in published.rglob("*.idomaar") if path.name != "users.idomaar"]
    records = [
        list(IMPORTER.read(order, namespace="30music", as_of=AS_OF, on_bytes=lambda n: None))
        for order in (files, files[::-1])
    ]
    assert records[0] == records[1] == read(published)


def test_sessions_are_read_without_the_file_of_plays(published):
    (published / "relations" / "events.idomaar").unlink()
    plays = [record for record in read(published) if isinstance(record, PlayRecord) and record.kind == "play"]
    assert [(p.track, p.time, p.ms_played, p.milestone, p.session) for p in plays] == [
        ("30music:42", 1_421_050_065, 216_000, 100, "98"),
        ("30music:43", 1_421_050_281, None, 100, "98"),
    ]


def test_reported_bytes_add_up_to_the_files_that_are_read(published):
    consumed = []
    list(IMPORTER.read([published], namespace="30music", as_of=AS_OF, on_bytes=consumed.append))
    assert sum(consumed) == IMPORTER.total_bytes([published])


def test_files_of_listeners_and_playlists_are_refused(published):
    with pytest.raises(FormatError, match=r"users\.idomaar: lines of the kind user are not imported; leave the file"):
        read(published / "entities" / "users.idomaar")
    empty = published / "empty"
    empty.mkdir()
    with pytest.raises(FormatError, match=r"this folder has no relations/events\.idomaar or events\.tsv; name"):
        read(empty)


def test_memory_does_not_hold_the_plays(tmp_path):
    line = EVENTS.splitlines(keepends=True)[0]
    path = tmp_path / "events.idomaar"
    path.write_text("".join(line.replace("1421050065", str(1_421_050_065 + n)) for n in range(50_000)))
    tracemalloc.start()
    try:
        records = IMPORTER.read([path], namespace="30music", as_of=AS_OF, on_bytes=lambda n: None)
        assert sum(isinstance(record, PlayRecord) for record in records) == 50_000
        assert tracemalloc.get_traced_memory()[1] < 2 << 20  # the records of all plays take 20 MB
    finally:
        tracemalloc.stop()
