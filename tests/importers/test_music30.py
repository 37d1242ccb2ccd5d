"""The 30Music data set: a small file like the original one, and the original one if it is available."""

import os
from collections import Counter
from pathlib import Path

import pytest

from importers import IMPORTERS, FormatError, PlayRecord, TrackRecord
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
