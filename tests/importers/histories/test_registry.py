"""A format of listening histories can be added from outside of the package."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from importers.histories import HISTORY_IMPORTERS, HistoryImporter, register_history_importer
from importers.histories.archive import HistoryFile, read_blocks
from importers.records import ListenRecord
from tests.importers.histories.history_files import archive, detect_format, read, write

TIME = 1_600_000_000


def read_titles(file: HistoryFile, latest: int, on_bytes: Callable[[int], None]) -> Iterator[ListenRecord]:
    """Read a toy format: the word TOY, then a title of Ann's per line."""
    lines = b"".join(read_blocks(file, on_bytes)).decode().splitlines()
    for line, title in enumerate(lines[1:], 2):
        yield ListenRecord("Ann", title, TIME, file=str(file), line=line)


@pytest.fixture
def toy_importer() -> Iterator[HistoryImporter]:
    importer = HistoryImporter(
        "toy",
        read_titles,
        recognizes_text=lambda text: text.startswith("TOY"),
        includes_member=lambda member: not member.endswith("draft.toy"),
    )
    register_history_importer(importer)
    yield importer
    del HISTORY_IMPORTERS["toy"]


@pytest.mark.usefixtures("toy_importer")
def test_a_registered_format_is_detected_and_read(tmp_path: Path) -> None:
    path = write(tmp_path, "history", "TOY\nBlue\n")
    assert detect_format(path) == "toy"
    assert read(path) == ([ListenRecord("Ann", "Blue", TIME, file="history", line=2)], [])


@pytest.mark.usefixtures("toy_importer")
def test_the_members_of_an_archive_are_recognized_by_content_unless_their_names_exclude_them(tmp_path: Path) -> None:
    members = {"2023.toy": "toys\nRed\n", "2024.txt": "TOY\nBlue\n", "a draft.toy": "TOY\nGreen\n"}
    path = archive(tmp_path / "history.zip", members)
    assert read(path) == ([ListenRecord("Ann", "Blue", TIME, file="history.zip: 2024.txt", line=2)], [])
    assert read(write(tmp_path, "the draft.toy", "TOY\nGreen\n"))[0][0].title == "Green"


def test_a_name_that_is_taken_cannot_be_registered_again(toy_importer: HistoryImporter) -> None:
    with pytest.raises(ValueError, match="a history importer named 'toy' is already registered"):
        register_history_importer(toy_importer)
    assert list(HISTORY_IMPORTERS) == [
        "spotify",
        "listenbrainz",
        "maloja",
        "lastfmstats",
        "rockbox",
        "pano",
        "lastfm",
        "toy",
    ]
