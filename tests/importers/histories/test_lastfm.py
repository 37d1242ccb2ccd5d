from pathlib import Path
from typing import Any

import pytest

from importers.errors import FormatError
from tests.importers.histories.history_files import detect_format, read, write

MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
NEW_YEAR = 1_577_882_040  # 2020-01-01T12:34:00Z


def read_listens(path: Path) -> list[tuple[str, str, str, int]]:
    listens, refused_rows = read(path)
    assert refused_rows == []
    return [(listen.artist, listen.album, listen.title, listen.time) for listen in listens]


@pytest.mark.parametrize(
    "text",
    [
        "Kanye West,The Life of Pablo,Fade,01 Jan 2020 12:34\n",
        '"Kanye West","The Life of Pablo","Fade","01 Jan 2020 12:34"\r\n',
        f"uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
        f'"{NEW_YEAR}","01 Jan 2020, 12:34","Kanye West","","The Life of Pablo","","Fade",""\n',
        "Artist;Album;Title;Date\nKanye West;The Life of Pablo;Fade;01 Jan 2020, 12:34\n",
        f"artist\talbum\ttrack\ttimestamp\nKanye West\tThe Life of Pablo\tFade\t{NEW_YEAR}000\n",
        "\ufeffartist,album,name,date\nKanye West,The Life of Pablo,Fade,2020-01-01 12:34\n",
        "artist,album,name,date\nKanye West,The Life of Pablo,Fade,2020-01-01T12:34:00Z\n",
    ],
)
def test_csv_files_of_common_tools_are_read(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "scrobbles.csv", text)
    assert detect_format(path) == "lastfm"
    assert read_listens(path) == [("Kanye West", "The Life of Pablo", "Fade", NEW_YEAR)]


def track(**fields: Any) -> dict[str, Any]:
    """Return a track as `user.getRecentTracks` sends it."""
    return {
        "artist": {"mbid": "", "#text": "Kanye West"},
        "album": {"mbid": "", "#text": "The Life of Pablo"},
        "name": "Fade",
        "mbid": MBID,
        "image": [{"size": "small", "#text": ""}],
        "date": {"uts": str(NEW_YEAR), "#text": "01 Jan 2020, 12:34"},
    } | fields


def page(*tracks: Any) -> dict[str, Any]:
    return {"recenttracks": {"track": list(tracks), "@attr": {"page": "1", "totalPages": "2"}}}


PLAYING_NOW = {k: v for k, v in track().items() if k != "date"} | {"@attr": {"nowplaying": "true"}}


@pytest.mark.parametrize(
    "content",
    [
        page(PLAYING_NOW, track(), track()),
        [page(track()), page(track())],
        [{"track": [track(), track()], "@attr": {}}],
        [track(), track()],
        [[track()], [track()]],
    ],
)
def test_json_pages_are_read_in_every_wrapping(tmp_path: Path, content: Any) -> None:
    path = write(tmp_path, "recent.json", content)
    assert read_listens(path) == [("Kanye West", "The Life of Pablo", "Fade", NEW_YEAR)] * 2
    assert read(path)[0][0].mbid == MBID


def test_bad_rows_are_refused_and_the_others_are_read(tmp_path: Path) -> None:
    rows = ["artist,album,title,date",
            "A,B,C,01 Jan 2020 12:34", ",B,C,01 Jan 2020 12:34", "A,B,C,1 Foo 2020", "A,B", "A,B,C,01 Jan 1970 00:00",
            "A,B,C,", "A,B,C,01 Jan 2020 12:34"]  # fmt: skip
    listens, refused_rows = read(write(tmp_path, "a.csv", "\n".join(rows)))
    assert [listen.line for listen in listens] == [2, 8]
    assert [row.line for row in refused_rows] == [3, 4, 5, 6, 7]
    listens, refused_rows = read(
        write(tmp_path, "a.json", page(1, track(date=None), track(artist={}), track(date={"uts": "x"}), track()))
    )
    assert [row.line for row in refused_rows] == [1, 2, 3, 4]
    assert len(listens) == 1


def test_only_the_lines_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", b"A,B,C,01 Jan 2020 12:34\nBj\xf6rk,B,C,01 Jan 2020 12:34\n")
    listens, [refused_row] = read(path)
    assert (len(listens), refused_row.line, "UTF-8" in refused_row.reason) == (1, 2, True)


@pytest.mark.parametrize("content", [b"", b"\n", b"\x00\x01\x02", b"hello"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FormatError):
        read(write(tmp_path, "a.csv", content))
