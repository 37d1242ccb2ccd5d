"""The two public data sets: small files like theirs, and the real ones where they are at hand."""

import os
from collections import Counter
from pathlib import Path

import pytest

from importers import IMPORTERS, FormatError, PlayRecord, RefusedRow, TagRecord, TrackRecord
from musicrec.processes import ROOT

AS_OF = 1_700_000_000
DATA = Path(os.environ.get("MUSICREC_DATA") or ROOT.parent / "shared" / "data")


def read(name, path, on_bytes=lambda n: None):
    return list(IMPORTERS[name].read([path], namespace=IMPORTERS[name].namespace, as_of=AS_OF, on_bytes=on_bytes))


@pytest.fixture
def hetrec(tmp_path):
    (tmp_path / "artists.dat").write_text(
        "id\tname\turl\tpictureURL\n"
        '1\t"Quoted\thttp://x/1\thttp://x.example/1.jpg\n'
        f"2\tTvå\thttp://x/2\thttp://x.example/{'x' * 512}.jpg\n"
        "3\t\thttp://x/3\t\n"
    )
    (tmp_path / "user_artists.dat").write_text(
        "userID\tartistID\tweight\n7\t1\t13883\n7\t2\t0\n8\t9\t5\n8\t1\t\n8\t2\n9\t2\t1\n"
    )
    return tmp_path


def tag(folder, given):
    """given: (user, artist, tag) of the tags 1 rock, 2 café, 3 live, 4 seen."""
    (folder / "tags.dat").write_bytes("tagID\ttagValue\n1\trock\n2\tcafé\n3\tlive\n4\tseen\n".encode("latin-1"))
    rows = "".join(f"{user}\t{artist}\t{number}\t1\t4\t2009\n" for user, artist, number in given)
    (folder / "user_taggedartists.dat").write_text(f"userID\tartistID\ttagID\tday\tmonth\tyear\n{rows}")


def test_hetrec_artists_stand_in_as_tracks_and_weights_are_totals(hetrec):
    records = read("hetrec2011", hetrec)
    assert [r for r in records if isinstance(r, TrackRecord)] == [
        TrackRecord(
            "lastfm:1", '"Quoted', '"Quoted', "lastfm:1", cover_url="http://x.example/1.jpg", file="artists.dat", line=2
        ),
        TrackRecord("lastfm:2", "Två", "Två", "lastfm:2", file="artists.dat", line=3),
    ]
    plays = [r for r in records if isinstance(r, PlayRecord)]
    assert [(p.user, p.track, p.plays, p.time, p.milestone, p.is_completed, p.line) for p in plays] == [
        ("lastfm:7", "lastfm:1", 13883, AS_OF, 100, True, 2),
        ("lastfm:9", "lastfm:2", 1, AS_OF, 100, True, 7),
    ]


def test_hetrec_refuses_rows_it_does_not_understand(hetrec):
    assert [r for r in read("hetrec2011", hetrec) if isinstance(r, RefusedRow)] == [
        RefusedRow("artists.dat", 4, "name: empty, expected a text of 1 to 512 characters"),
        RefusedRow("user_artists.dat", 3, "plays: '0' is not a whole number from 1 to 2147483647"),
        RefusedRow("user_artists.dat", 4, "artistID: '9' is not the id of an artist in artists.dat"),
        RefusedRow("user_artists.dat", 5, "weight: empty, expected a text of 1 to 128 characters"),
        RefusedRow("user_artists.dat", 6, "fields: 2 of them where the header names 3 columns"),
    ]


def test_hetrec_tags_are_those_that_at_least_two_people_gave(hetrec):
    tag(hetrec, [(u, 1, t) for t in (1, 2, 3) for u in range(2 + t)] + [(1, 1, 4), (1, 2, 4), (1, 2, 1), (2, 2, 1)])
    first, second = (r.tags for r in read("hetrec2011", hetrec) if isinstance(r, TrackRecord))
    assert first == (TagRecord("live", "genre", 5.0), TagRecord("café", "genre", 4.0), TagRecord("rock", "genre", 3.0))
    assert second == (TagRecord("rock", "genre", 2.0), TagRecord("seen", "genre", 1.0))  # too few agreed: all


def test_hetrec_needs_its_folder_and_both_files(hetrec):
    with pytest.raises(FormatError, match=r"this is not a folder; give the folder that holds artists\.dat"):
        read("hetrec2011", hetrec / "artists.dat")
    (hetrec / "user_artists.dat").write_text("user,artist\n")
    with pytest.raises(FormatError, match=r"user_artists\.dat: the header is user,artist, not userid artistid weight"):
        read("hetrec2011", hetrec)
    (hetrec / "user_artists.dat").unlink()
    with pytest.raises(FormatError, match=r"user_artists\.dat: there is no such file"):
        read("hetrec2011", hetrec)


def test_30music_tracks_come_before_their_first_play(tmp_path):
    (tmp_path / "events.tsv").write_text(
        "window\tuser\tsession\ttrack\tts\tartist\n0\t33\t98\t26\t1397965917\t33\n0\t34\t99\t26\t1397965918\t33\n"
        "0\t34\t99\t26\tnoon\t33\n"
    )
    track, first, second, refusal = read("30music", tmp_path)
    assert track == TrackRecord(
        "30music:26", "Track 26", "Artist 33", "30music:33", has_placeholder_names=True, file="events.tsv", line=2
    )
    assert (first.user, first.session, first.time, first.milestone) == ("30music:33", "98", 1_397_965_917, 100)
    assert (second.user, second.line) == ("30music:34", 3)
    assert refusal.reason == "time: 'noon' is not a time in UNIX seconds, UNIX milliseconds or ISO 8601"
    assert read("30music", tmp_path / "events.tsv") == read("30music", tmp_path)


def test_30music_names_the_columns_it_misses(tmp_path):
    (tmp_path / "events.tsv").write_text("user\ttrack\tts\n")
    with pytest.raises(FormatError, match=r"no column session \(session\) and no column artist_id \(artist\)"):
        read("30music", tmp_path)


def real(folder):
    return pytest.mark.skipif(not (DATA / folder).is_dir(), reason=f"no {folder} in MUSICREC_DATA ({DATA})")


@real("hetrec2011-lastfm-2k")
def test_the_real_hetrec2011_is_read_whole():
    consumed = []
    records = read("hetrec2011", DATA / "hetrec2011-lastfm-2k", consumed.append)
    assert Counter(type(r) for r in records) == {TrackRecord: 17_632, PlayRecord: 92_834}
    assert len({r.user for r in records if isinstance(r, PlayRecord)}) == 1_892
    assert len({r.event_id for r in records if isinstance(r, PlayRecord)}) == 92_834
    assert sum(consumed) == IMPORTERS["hetrec2011"].total_bytes([DATA / "hetrec2011-lastfm-2k"])


@real("30music-events")
def test_the_real_30music_is_read_whole():
    records = read("30music", DATA / "30music-events")
    assert Counter(type(r) for r in records) == {TrackRecord: 36_781, PlayRecord: 64_598}
