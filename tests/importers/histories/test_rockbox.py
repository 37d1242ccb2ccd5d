from pathlib import Path

import pytest

from importers import histories
from importers.records import FileNote, ListenRecord
from tests.importers.histories.history_files import NOW, detect_format, read, write

MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"
HEADER = "#AUDIOSCROBBLER/1.1\n#TZ/UTC\n#CLIENT/Rockbox\n"
ROW = f"Kanye West\tPablo\tFade\t13\t194\tL\t1577882040\t{MBID}\n"
EXPECTED = ListenRecord("Kanye West", "Fade", 1_577_882_040, "Pablo", mbid=MBID, duration_ms=194_000, line=4)


def test_listened_and_skipped_tracks_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, ".scrobbler.log", HEADER + ROW + ROW.replace("L", "S"))
    assert detect_format(path) == "rockbox"
    listen = EXPECTED._replace(file=".scrobbler.log")
    assert read(path) == ([listen, listen._replace(end_reason="skipped", line=5)], [])


def test_version_1_0_and_artists_that_begin_with_a_number_sign_are_read(tmp_path: Path) -> None:
    rows = "#1 Dads\t\tSo Soldier\t\t\tL\t1577882040\n# a comment\n#ARTIST\t#ALBUM\t#TITLE\t\t\t\t#TIMESTAMP\n"
    listens, refused_rows = read(write(tmp_path, "a.log", "#AUDIOSCROBBLER/1.0\r\n#TZ/UTC\r\n" + rows))
    assert listens == [ListenRecord("#1 Dads", "So Soldier", 1_577_882_040, file="a.log", line=3)]
    assert refused_rows == []


@pytest.mark.parametrize(("zone", "has_note"), [("UTC", False), ("utc", False), ("UNKNOWN", True), ("", True)])
def test_a_player_that_does_not_know_its_time_zone_is_reported(tmp_path: Path, zone: str, has_note: bool) -> None:
    path = write(tmp_path, "a.log", HEADER.replace("UTC", zone) + ROW + HEADER.replace("UTC", zone) + ROW)
    *notes, first, second = histories.select_files([path]).files[0].read(NOW)
    expected = (
        "the player does not know its time zone, so the times are those of its clock, read as UTC; they may be wrong"
    )
    assert [isinstance(note, FileNote) and note.text.startswith(expected) for note in notes] == [True] * has_note
    assert (first, second) == (EXPECTED._replace(file="a.log"), EXPECTED._replace(file="a.log", line=8))


def test_bad_lines_are_refused_and_the_others_are_read(tmp_path: Path) -> None:
    bad = ["junk", "A\tB\tC", ROW.replace("1577882040", "0").rstrip(), ROW.replace("Fade", "").rstrip(),
           ROW.replace("\tL\t", "\tX\t").rstrip(), "\t".join("123456789")]  # fmt: skip
    listens, refused_rows = read(write(tmp_path, "a.log", HEADER + "\n".join(bad) + "\n" + ROW))
    assert [listen.line for listen in listens] == [10]
    assert [row.reason.split(":")[0] for row in refused_rows] == ["line", "line", "time", "title", "rating", "line"]
    assert refused_rows[2].reason.endswith("(players without a clock write 0)")
