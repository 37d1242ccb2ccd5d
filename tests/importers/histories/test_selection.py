"""Which files of archives and folders are read, and why the others are not."""

import gzip
import json
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importers import histories
from importers.errors import FormatError
from importers.records import FileNote, ListenRecord, RefusedRow
from tests.importers.histories.history_files import NOW, archive, detect_format, read, write
from tests.importers.histories.test_listenbrainz import listen
from tests.importers.histories.test_spotify import play

CSV = "artist,album,track,date\nKanye West,The Life of Pablo,Fade,01 Jan 2020 12:34\n"
LOGIN_PAGE = "<!DOCTYPE html>\n<html><head><title>Log in, listen, share</title></head>\n<body>;;;</body></html>"
SYSTEM_FILES = {
    "__MACOSX/._scrobbles.csv": b"\0\5\x16\7\0\2\0\0Mac OS X        \0\0",
    "__MACOSX/listens/._1.jsonl": b"\0\5\x16\7",
    "listens/._2.jsonl": b"\0\5\x16\7",
    ".DS_Store": b"\0\0\0\1Bud1",
    "listens/.DS_Store": b"\0\0\0\1Bud1",
    "Thumbs.db": b"\xd0\xcf\x11\xe0",
    "desktop.ini": b"[.ShellClassInfo]",
}


def selected_and_skipped(*paths: Path, format: str = "auto") -> tuple[list[tuple[str, str]], list[str]]:
    selection = histories.select_files(paths, format)
    return [(str(file), importer.name) for file, importer in selection.files], [name for name, _ in selection.skipped]


def test_every_member_of_an_archive_has_a_format_of_its_own(tmp_path: Path) -> None:
    members = {
        "readme.txt": "This archive has all of my music.",
        "a.json": json.dumps([play()]),
        "b.json": json.dumps(listen()),
        "c.csv": CSV,
        "d.json": '{"playlists": []}',
        "e.html": LOGIN_PAGE,
        "f.csv": "artist,track\nKanye West,Fade\n",
        "g.json": "",
        "h.jpg": b"\xff\xd8\xff\xe0\0\0",
        "inner.zip": archive(tmp_path / "inner.zip", {"a.csv": CSV}).read_bytes(),
    }
    path = archive(tmp_path / "all.zip", members | SYSTEM_FILES)
    files, skipped = selected_and_skipped(path)
    assert files == [("all.zip: a.json", "spotify"), ("all.zip: b.json", "listenbrainz"), ("all.zip: c.csv", "lastfm")]
    not_listens = ["d.json", "e.html", "f.csv", "g.json", "h.jpg", "inner.zip", "readme.txt"]
    assert skipped == [f"all.zip: {name}" for name in not_listens]
    assert selected_and_skipped(path, format="lastfm")[0] == [("all.zip: c.csv", "lastfm")]
    assert [(entry.title, entry.file) for entry in read(path)[0]] == [("Fade", name) for name, _ in files]


def test_the_members_of_an_archive_that_look_like_listens_are_left_out(tmp_path: Path) -> None:
    spotify = {"Streaming_History_Video_2022.json": json.dumps([play()]), "endsong_0.json": json.dumps([play()])}
    listenbrainz = {name: json.dumps(listen()) for name in ("feedback.jsonl", "pinned_recordings.jsonl", "1.jsonl")}
    for format, members, listens in (("spotify", spotify, "endsong_0.json"), ("listenbrainz", listenbrainz, "1.jsonl")):
        path = archive(tmp_path / "a.zip", members)
        assert selected_and_skipped(path)[0] == [(f"a.zip: {listens}", format)]
        reason = f"is left out: by its name, {format} has something else than plays of music in it"
        assert {entry.reason for entry in histories.select_files([path]).skipped} == {reason}


def test_an_archive_inside_of_an_archive_is_no_damaged_one(tmp_path: Path) -> None:
    inner = archive(tmp_path / "inner.zip", {"a.csv": CSV}).read_bytes()
    path = archive(tmp_path / "a.zip", {"a.csv": CSV, "inner.zip": inner})
    [entry] = histories.select_files([path]).skipped
    assert entry == ("a.zip: inner.zip", "is an archive inside of an archive; unpack it and give its files")


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    for name, content in SYSTEM_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "a.csv").write_text(CSV)
    (folder / "b.txt").write_text("my exports")
    archive(folder / "listens" / "c.zip", {"d.csv": CSV})
    archive(folder / "listens" / "e.zip", {"../d.csv": CSV})
    files, skipped = selected_and_skipped(folder)
    assert files == [("exports/a.csv", "lastfm"), ("exports/listens/c.zip: d.csv", "lastfm")]
    assert skipped == ["exports/b.txt", "exports/listens/e.zip"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"empty: contains no files; check the path"):
        histories.select_files([tmp_path / "empty"])


def test_a_file_that_is_compressed_by_gzip_is_unpacked(tmp_path: Path) -> None:
    path = write(tmp_path, "endsong_0.json.gz", gzip.compress(json.dumps([play(), play()]).encode()))
    assert detect_format(path) == "spotify"
    assert len(read(path)[0]) == 2
    assert histories.select_files([path]).total_bytes == len(json.dumps([play(), play()]))
    with pytest.raises(FormatError, match=r"cut\.gz: cannot be opened"):
        histories.select_files([write(tmp_path, "cut.gz", path.read_bytes()[:-20])])
    with pytest.raises(FormatError, match=r"bomb\.gz: would unpack to more than"):
        histories.select_files([write(tmp_path, "bomb.gz", gzip.compress(b" " * (80 << 20)))])


def test_text_in_utf_16_is_read(tmp_path: Path) -> None:
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        text = CSV if encoding == "utf-16" else f"\ufeff{CSV}"
        listens, refused_rows = read(write(tmp_path, "a.csv", text.encode(encoding)))
        assert ([entry.title for entry in listens], refused_rows) == (["Fade"], [])


@pytest.mark.parametrize("format", ["auto", "lastfm", "spotify"])
@pytest.mark.parametrize(
    "page",
    [
        LOGIN_PAGE,
        "\ufeff  <html lang=en>;;\n",
        "<!-- cached, at, noon -->\n<!doctype HTML>\n",
        '<?xml version="1.0"?>\n<!-- a --> <!-- b -->\n<!DOCTYPE html PUBLIC "a,b,c">',
    ],
)
def test_a_web_page_is_refused_with_a_hint_to_sign_in(tmp_path: Path, page: str, format: str) -> None:
    with pytest.raises(FormatError, match=r"scrobbles\.csv: is a web page \(HTML\), not an export.* sign in there"):
        histories.select_files([write(tmp_path, "scrobbles.csv", page)], format)


@pytest.mark.parametrize("format", ["auto", "spotify"])
def test_reading_goes_on_behind_values_that_are_not_json(tmp_path: Path, format: str) -> None:
    rows = [play(), play(ms_played=float("nan")), play(skipped=float("inf")), play()]
    listens, refused_rows = read(write(tmp_path, "a.json", rows), format=format)
    assert [entry.line for entry in listens] == [1, 3, 4]
    assert [(row.line, row.reason) for row in refused_rows] == [
        (2, "ms_played: empty, expected a whole number from 0 to 86400000")
    ]


def test_the_rows_before_bytes_that_are_not_utf_8_are_read(tmp_path: Path) -> None:
    content = json.dumps([play(), play(), play()]).encode()
    path = write(tmp_path, "a.json", content[:-300] + b"\xff" + content[-300:])
    records = histories.select_files([path]).files[0].read(NOW)
    assert [next(records).line, next(records).line] == [1, 2]
    with pytest.raises(FormatError, match=r"a\.json: (is not UTF-8|item 3)"):
        next(records)


WORDS = (
    "scrobbles artist artists track title time date timeMs list A track_metadata listened_at recenttracks #text "
    "endTime msPlayed trackName master_metadata_track_name"
)
FRAGMENTS = [
    *(f'"{word}"'.encode() for word in WORDS.split()),
    *(bytes([byte]) for byte in b'[]{},:;"\n\t\0\xff'),
    *(
        b"null",
        b"NaN",
        b"-1",
        b"1e999",
        b"\\ud800",
        b"1577882040",
        b"01/02/2020 10:00",
        b"2020-01-01 12:34",
        b"sep=;\n",
    ),
    *(b"artist,title,date\n", b"A,B,C,2020-01-01 12:34\n", b"timeHuman,timeMs,artist,track,event\n"),
    *(b"#AUDIOSCROBBLER/1.1\n", b"#TZ/UTC\n", b"A\tB\tC\t1\t2\tL\t1577882040\t\n"),
    *(b"<!--", b"-->", b"<html>", b"PK\x03\x04", b"\x1f\x8b", b"\xff\xfe"),
]


@settings(max_examples=1_000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join) | st.binary(max_size=100))
@example(b"<!--a-->" * 500 + b"x")
@example(b'{"scrobbles": 1, "artist": "track date"}')
@example(b'{"scrobbles":[{"artist":"A","track":"B","date":1577882040}')
def test_any_input_is_read_refused_or_an_error_of_its_format(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "any", content)
        with suppress(FormatError):
            for selected in histories.select_files([path]).files:
                assert all(isinstance(record, ListenRecord | RefusedRow | FileNote) for record in selected.read(NOW))


def test_names_that_occur_twice_in_an_archive_are_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.csv", CSV.replace("Fade", "One"))
        with pytest.warns(UserWarning, match="Duplicate name"):
            opened.writestr("a.csv", CSV.replace("Fade", "Two"))
    assert [entry.title for entry in read(path)[0]] == ["One", "Two"]
