import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from importers import histories
from importers.errors import FormatError
from importers.records import ListenRecord
from tests.importers.histories.history_files import (
    NOW,
    archive,
    detect_format,
    encrypted_archive,
    highly_compressed_archive,
    read,
    write,
)

MBID = "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"


def listen(title: str = "Fade", at: Any = 1_700_000_000, **info: Any) -> dict[str, Any]:
    metadata = {"artist_name": "Kanye West", "track_name": title, "release_name": "The Life of Pablo"}
    return {"listened_at": at, "inserted_at": at, "track_metadata": metadata | {"additional_info": info}}


def test_an_archive_with_listens_by_month_is_read(tmp_path: Path) -> None:
    full = listen(isrc="USUM71600001", duration_ms=194_000, ms_played=100_000, submission_client="navidrome")
    mapped = listen("Two") | {"recording_msid": "x"}
    mapped["track_metadata"]["mbid_mapping"] = {"recording_mbid": MBID}
    path = archive(
        tmp_path / "listenbrainz_alice.zip",
        {
            "user.json": "{}",
            "feedback.jsonl": '{"score": 1}',
            "listens/2023/11.jsonl": json.dumps(full) + "\n" + json.dumps(mapped) + "\n",
            "listens/2024/1.jsonl": json.dumps(listen("Three")),
        },
    )
    assert detect_format(path) == "listenbrainz"
    listens, refused_rows = read(path)
    assert refused_rows == []
    assert listens[0] == ListenRecord(
        artist="Kanye West",
        title="Fade",
        time=1_700_000_000,
        album="The Life of Pablo",
        ms_played=100_000,
        isrc="USUM71600001",
        device="navidrome",
        duration_ms=194_000,
        file="listenbrainz_alice.zip: listens/2023/11.jsonl",
        line=1,
    )
    assert [(entry.title, entry.mbid, entry.line) for entry in listens[1:]] == [("Two", MBID, 2), ("Three", "", 1)]


@pytest.mark.parametrize("name", ["listens.json", "anything.txt"])
def test_the_older_export_with_a_single_array_is_read(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, [listen(), listen("Two", "1600000000"), listen("Three", 1_600_000_001.0)])
    listens, refused_rows = read(path)
    assert [(entry.title, entry.time, entry.line) for entry in listens] == [
        ("Fade", 1_700_000_000, 1),
        ("Two", 1_600_000_000, 2),
        ("Three", 1_600_000_001, 3),
    ]
    assert refused_rows == []


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("page", [lambda listens: {"payload": {"count": 3, "listens": listens}},
                                  lambda listens: {"listen_type": "import", "payload": listens}])  # fmt: skip
def test_pages_of_the_api_are_read(tmp_path: Path, end: str, page: Any) -> None:
    pages = [page([listen("One"), {"listened_at": 1}, listen("Two")]), page([]), page([listen("Three")])]
    for number, content in enumerate([json.dumps(pages), "\n".join(map(json.dumps, pages))]):
        listens, [refused_row] = read(write(tmp_path, f"{number}.json", content + end))
        assert [entry.title for entry in listens] == ["One", "Two", "Three"]
        assert refused_row.reason.startswith("track_metadata: empty")
    listens, _ = read(write(tmp_path, "page.json", json.dumps(pages[2]) + end))
    assert [entry.title for entry in listens] == ["Three"]


def test_a_bad_row_is_refused_with_its_line_and_the_others_are_read(tmp_path: Path) -> None:
    bad = [
        b"{",
        b"\xff\xfe",
        b"7",
        json.dumps(listen(at=12)).encode(),
        json.dumps(listen(at=NOW * 2)).encode(),
        json.dumps(listen(at=None)).encode(),
        json.dumps(listen("")).encode(),
        json.dumps(listen("x" * 600)).encode(),
        json.dumps(listen("nu\0ll")).encode(),
        json.dumps({"track_metadata": 1, "listened_at": 1_700_000_000}).encode(),
    ]
    good = json.dumps(listen()).encode()
    path = write(tmp_path, "listens.jsonl", b"\n".join([good, *bad, b"", good]))
    listens, refused_rows = read(path)
    assert [entry.line for entry in listens] == [1, len(bad) + 3]
    assert [row.line for row in refused_rows] == list(range(2, len(bad) + 2))
    assert all(row.file == "listens.jsonl" and row.reason for row in refused_rows)


def test_half_a_surrogate_pair_is_refused(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.json",
        '[{"listened_at": 1700000000, "track_metadata": {"artist_name": "\\ud800", "track_name": "a"}}]',
    )
    listens, refused_rows = read(path)
    assert (listens, len(refused_rows)) == ([], 1)
    refused_rows[0].reason.encode()


def test_a_file_that_ends_too_early_yields_the_listens_before_the_error(tmp_path: Path) -> None:
    whole = json.dumps([listen(), listen("Two")])
    path = write(tmp_path, "a.json", whole[:-20])
    records = histories.select_files([path]).files[0].read(NOW)
    assert next(records).title == "Fade"
    with pytest.raises(FormatError, match=r"a\.json: item 2 is not valid JSON, or is cut off"):
        next(records)


def test_damaged_and_dangerous_archives_are_refused(tmp_path: Path) -> None:
    good = archive(tmp_path / "good.zip", {"listens/2024/1.jsonl": json.dumps(listen()) * 1000})
    cut = write(tmp_path, "cut.zip", good.read_bytes()[:-60])
    cases = {
        cut: "is a damaged archive, or only the beginning of one; download the export again",
        highly_compressed_archive(tmp_path / "bomb.zip", 200 << 20): "times its size",
        encrypted_archive(tmp_path / "secret.zip"): "encrypted",
        archive(tmp_path / "up.zip", {"../../etc/listens/1.jsonl": "{}"}): "outside of the archive",
        archive(tmp_path / "root.zip", {"/listens/1.jsonl": "{}"}): "outside of the archive",
        archive(tmp_path / "many.zip", {f"listens/{n}.jsonl": "" for n in range(10_001)}): "at most 10,000",
        archive(tmp_path / "other.zip", {"holiday.jpg": b"\xff\xd8"}): "holiday.jpg: has none of the formats",
        tmp_path / "nothing.zip": "no such file",
    }
    for path, message in cases.items():
        with pytest.raises(FormatError, match=message):
            read(path)
    with pytest.raises(FormatError, match="holds listenbrainz listens, not spotify"):
        read(good, format="spotify")


def test_damage_inside_an_archive_is_reported(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip", {"listens/2024/1.jsonl": "\n".join(json.dumps(listen(str(n))) for n in range(5000))}
    )
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(FormatError, match="cannot be read"):
        read(path)


def test_memory_is_bounded_and_reported_bytes_add_up(tmp_path: Path) -> None:
    path = tmp_path / "many.json"
    with path.open("w") as file:
        file.write("[" + ",".join(json.dumps(listen(f"Song {n}", filler="x" * 500)) for n in range(20_000)) + "]")
    done: list[int] = []
    tracemalloc.start()
    selection = histories.select_files([path])
    count = sum(1 for _ in selection.files[0].read(NOW, done.append))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert sum(done) == selection.total_bytes == path.stat().st_size
    assert peak < 5 << 20
