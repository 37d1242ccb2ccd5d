"""The HetRec 2011 data set: small files like the original ones, and the original ones if they are available."""

import os
from collections import Counter
from pathlib import Path

import pytest

from importers import IMPORTERS, FormatError, PlayRecord, RefusedRow, TagRecord, TrackRecord
from musicrec.processes import ROOT

AS_OF = 1_700_000_000
DATA = Path(os.environ.get("MUSICREC_DATA") or ROOT.parent / "shared" / "data") / "hetrec2011-lastfm-2k"
IMPORTER = IMPORTERS["hetrec2011"]


def read(path, on_bytes=lambda n: None):
    return list(IMPORTER.read([path], namespace=IMPORTER.namespace, as_of=AS_OF, on_bytes=on_bytes))


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a few artists and totals of plays, some of them invalid."""
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


def write_tags(folder, assignments):
    """Write the tags 1 rock, 2 café, 3 live and 4 seen, and who assigned them: (user, artist, tag) each."""
    (folder / "tags.dat").write_bytes("tagID\ttagValue\n1\trock\n2\tcafé\n3\tlive\n4\tseen\n".encode("latin-1"))
    rows = "".join(f"{user}\t{artist}\t{number}\t1\t4\t2009\n" for user, artist, number in assignments)
    (folder / "user_taggedartists.dat").write_text(f"userID\tartistID\ttagID\tday\tmonth\tyear\n{rows}")


def test_artists_become_tracks_and_weights_become_totals(folder):
    records = read(folder)
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


def test_invalid_rows_are_refused(folder):
    assert [r for r in read(folder) if isinstance(r, RefusedRow)] == [
        RefusedRow("artists.dat", 4, "name: empty, expected a text of 1 to 512 characters"),
        RefusedRow("user_artists.dat", 3, "plays: '0' is not a whole number from 1 to 2147483647"),
        RefusedRow("user_artists.dat", 4, "artistID: '9' is not the id of an artist in artists.dat"),
        RefusedRow("user_artists.dat", 5, "weight: empty, expected a text of 1 to 128 characters"),
        RefusedRow("user_artists.dat", 6, "fields: 2 of them where the header names 3 columns"),
    ]


def test_artists_get_the_tags_that_at_least_two_people_gave(folder):
    write_tags(
        folder, [(u, 1, t) for t in (1, 2, 3) for u in range(2 + t)] + [(1, 1, 4), (1, 2, 4), (1, 2, 1), (2, 2, 1)]
    )
    first, second = (r.tags for r in read(folder) if isinstance(r, TrackRecord))
    assert first == (TagRecord("live", "genre", 5.0), TagRecord("café", "genre", 4.0), TagRecord("rock", "genre", 3.0))
    # The second artist gets all of its tags, since too few have two taggers.
    assert second == (TagRecord("rock", "genre", 2.0), TagRecord("seen", "genre", 1.0))


def test_the_folder_must_have_both_files_with_their_headers(folder):
    with pytest.raises(FormatError, match=r"this is not a folder; give the folder that holds artists\.dat"):
        read(folder / "artists.dat")
    (folder / "user_artists.dat").write_text("user,artist\n")
    with pytest.raises(FormatError, match=r"user_artists\.dat: the header is user,artist, not userid artistid weight"):
        read(folder)
    (folder / "user_artists.dat").unlink()
    with pytest.raises(FormatError, match=r"user_artists\.dat: there is no such file"):
        read(folder)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} does not exist; set MUSICREC_DATA")
def test_the_original_files_are_read_completely():
    consumed = []
    records = read(DATA, consumed.append)
    assert Counter(type(r) for r in records) == {TrackRecord: 17_632, PlayRecord: 92_834}
    assert len({r.user for r in records if isinstance(r, PlayRecord)}) == 1_892
    assert len({r.event_id for r in records if isinstance(r, PlayRecord)}) == 92_834
    assert sum(consumed) == IMPORTER.total_bytes([DATA])
