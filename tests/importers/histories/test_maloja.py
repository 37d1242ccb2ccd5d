import json
from pathlib import Path
from typing import Any

import pytest

from importers import histories
from importers.errors import FormatError
from importers.records import ListenRecord
from tests.importers.histories.history_files import NOW, detect_format, read, write

TIME = 1_577_882_040


def scrobble(time: Any = TIME, duration: Any = None, **track: Any) -> dict[str, Any]:
    track = {"artists": ["Kanye West"], "title": "Fade", "album": None, "length": None} | track
    return {"time": time, "track": track, "duration": duration, "origin": "client:phone"}


def export(*scrobbles: Any) -> dict[str, Any]:
    return {"maloja": {"export_time": TIME}, "scrobbles": list(scrobbles)}


def test_scrobbles_are_read(tmp_path: Path) -> None:
    album = {"artists": ["Kanye West"], "albumtitle": "The Life of Pablo"}
    path = write(tmp_path, "any.json", export(scrobble(), scrobble(album=album, length=194, duration=100)))
    assert detect_format(path) == "maloja"
    listen = ListenRecord("Kanye West", "Fade", TIME, file="any.json", line=1)
    full = listen._replace(album="The Life of Pablo", ms_played=100_000, duration_ms=194_000, line=2)
    assert read(path) == ([listen, full], [])


@pytest.mark.parametrize(
    ("artists", "expected"),
    [
        (["A"], "A"),
        (["A", "B"], "A feat. B"),
        (["A", "B", "C"], "A feat. B, C"),
        ("A", "A"),
        ([str(number) * 100 for number in range(9)], None),
    ],
)
def test_all_artists_are_named(tmp_path: Path, artists: Any, expected: str | None) -> None:
    [listen], _ = read(write(tmp_path, "a.json", export(scrobble(artists=artists))))
    assert listen.artist == expected or (expected is None and len(listen.artist) == 512)


def test_answers_of_the_api_and_old_exports_are_read(tmp_path: Path) -> None:
    answer = {"status": "ok", "pagination": {"page": 0}, "list": [scrobble()]}
    old = {"scrobbles": [{"artists": ["Kanye West"], "title": "Fade", "album": "Pablo", "time": TIME, "duration": 9}]}
    [listen], _ = read(write(tmp_path, "answer.json", answer))
    assert (listen.title, listen.time) == ("Fade", TIME)
    [listen], _ = read(write(tmp_path, "old.json", old))
    assert (listen.title, listen.album, listen.time, listen.ms_played) == ("Fade", "Pablo", TIME, 9_000)


def test_bad_scrobbles_are_refused_and_the_others_are_read(tmp_path: Path) -> None:
    bad = [
        7,
        {},
        scrobble(artists=[]),
        scrobble(artists=[""]),
        scrobble(title=""),
        scrobble(time="x"),
        scrobble(NOW * 2),
    ]
    listens, refused_rows = read(write(tmp_path, "a.json", export(*bad, scrobble())))
    assert [listen.line for listen in listens] == [8]
    assert [row.reason.split(":")[0] for row in refused_rows] == [
        "scrobble", "artists", "artists", "artists", "title", "time", "time",
    ]  # fmt: skip


def test_a_damaged_file_is_read_up_to_the_damage(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps(export(scrobble(), scrobble()))[:-40])
    records = histories.select_files([path]).files[0].read(NOW)
    assert next(records).line == 1
    with pytest.raises(FormatError, match=r"a\.json: item 2 is not valid JSON"):
        next(records)
