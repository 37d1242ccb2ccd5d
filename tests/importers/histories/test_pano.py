import json
from pathlib import Path
from typing import Any

import pytest

from importers.records import ListenRecord
from tests.importers.histories.history_files import NOW, detect_format, read, write

HEADER = "timeHuman,timeMs,artist,track,album,albumArtist,durationMs,mediaPlayerPackage"


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "timeHuman": "1 Jan 2020, 12:34",
        "timeMs": 1_577_882_040_123,
        "artist": "Kanye West",
        "track": "Fade",
        "album": None,
        "albumArtist": None,
        "durationMs": 194_000,
        "mediaPlayerPackage": "org.example.player",
        "event": "scrobble",
    } | fields


EXPECTED = ListenRecord("Kanye West", "Fade", 1_577_882_040, device="org.example.player", duration_ms=194_000, line=1)


@pytest.mark.parametrize("separator", ["\n", "\r\n"])
def test_lines_of_json_are_read(tmp_path: Path, separator: str) -> None:
    lines = [json.dumps(entry()), json.dumps(entry(album="Pablo", mediaPlayerName="Player", durationMs=None)), ""]
    path = write(tmp_path, "scrobbles", separator.join(lines))
    assert detect_format(path) == "pano"
    first = EXPECTED._replace(file="scrobbles")
    assert read(path) == ([first, first._replace(album="Pablo", device="Player", duration_ms=None, line=2)], [])
    assert len(read(write(tmp_path, "one.jsonl", json.dumps(entry())))[0]) == 1
    assert len(read(write(tmp_path, "list.json", [entry(), entry()]))[0]) == 2


@pytest.mark.parametrize("rest", ["", ",mediaPlayerName,mediaPlayerVersion,event"])
@pytest.mark.parametrize("has_header", [True, False])
def test_csv_is_read_with_and_without_a_header(tmp_path: Path, rest: str, has_header: bool) -> None:
    row = '"1 Jan 2020, 12:34",1577882040123,Kanye West,Fade,Pablo,,194000,org.example.player'
    rows = [row + (",,1.0,scrobble" if rest else "")] * 2
    path = write(tmp_path, "scrobbles.csv", "\n".join([HEADER + rest, *rows] if has_header else rows))
    listens, refused_rows = read(path)
    assert [(listen.title, listen.album, listen.time, listen.duration_ms) for listen in listens] == [
        ("Fade", "Pablo", 1_577_882_040, 194_000)
    ] * 2
    assert refused_rows == []
    assert detect_format(path) == ("pano" if has_header else "lastfm")


def test_what_is_no_scrobble_is_refused(tmp_path: Path) -> None:
    bad = [
        entry(event="love"),
        entry(event="unlove"),
        entry(timeMs=None),
        entry(timeMs=NOW * 2_000),
        entry(track=""),
        7,
    ]
    lines = [json.dumps(item) for item in [*bad, entry()]] + ["{", json.dumps(entry())]
    listens, refused_rows = read(write(tmp_path, "a.jsonl", "\n".join([json.dumps(entry()), *lines])))
    assert [listen.line for listen in listens] == [1, 8, 10]
    assert [row.reason.split(":")[0] for row in refused_rows] == [
        "event", "event", "timeMs", "timeMs", "track", "entry", "line",
    ]  # fmt: skip
