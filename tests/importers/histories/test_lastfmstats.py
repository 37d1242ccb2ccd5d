import json
from pathlib import Path
from typing import Any

import pytest

from importers import histories
from importers.errors import FormatError
from importers.records import ListenRecord
from tests.importers.histories.history_files import NOW, detect_format, read, write


def scrobble(**fields: Any) -> dict[str, Any]:
    return {"track": "Fade", "artist": "Kanye West", "album": "", "albumId": "", "date": 1_577_882_040_000} | fields


def export(*scrobbles: Any) -> dict[str, Any]:
    return {"username": "someone", "scrobbles": list(scrobbles)}


def test_scrobbles_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "any.json", export(scrobble(album="The Life of Pablo"), scrobble(date=1_577_882_040)))
    assert detect_format(path) == "lastfmstats"
    listen = ListenRecord("Kanye West", "Fade", 1_577_882_040, file="any.json", line=1)
    assert read(path) == ([listen._replace(album="The Life of Pablo"), listen._replace(line=2)], [])


def test_bad_scrobbles_are_refused_and_the_others_are_read(tmp_path: Path) -> None:
    bad = [7, scrobble(track=""), scrobble(artist=None), scrobble(date=None), scrobble(date=0), scrobble(date=NOW * 2)]
    listens, refused_rows = read(write(tmp_path, "a.json", export(*bad, scrobble())))
    assert [listen.line for listen in listens] == [7]
    assert [(row.line, row.reason.split(":")[0]) for row in refused_rows] == [
        (1, "scrobble"), (2, "track"), (3, "artist"), (4, "date"), (5, "date"), (6, "date"),
    ]  # fmt: skip


def test_the_scrobbles_before_the_end_of_a_damaged_file_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps(export(scrobble(), scrobble()))[:-30])
    records = histories.select_files([path]).files[0].read(NOW)
    assert next(records).line == 1
    with pytest.raises(FormatError, match=r"a\.json: item 2 is not valid JSON"):
        next(records)
