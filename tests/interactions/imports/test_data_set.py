import http.server
import os
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from access.models import User
from importers import IMPORTERS, FormatError, Record
from importers.records import RefusedRow
from interactions.imports import data_set_download
from interactions.imports.data_set import ImportReport, import_data_set
from interactions.models import Interaction
from interactions.selectors import load_popular_tracks
from musicrec.processes import ROOT
from tests.play_files import write_checkerboard_csv
from tracks.models import Track, TrackTag

DATA = Path(os.environ.get("MUSICREC_DATA") or ROOT.parent / "shared" / "data")
NOW = 1_790_000_000
HETREC = "hetrec2011-lastfm-2k"


def require_data_set(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not in MUSICREC_DATA ({DATA})")
    return DATA / name


def import_files(format: str, *paths: Path) -> tuple[ImportReport, list[RefusedRow]]:
    refused_rows: list[RefusedRow] = []
    report = import_data_set(format, paths, namespace="", as_of=NOW, on_refused_row=refused_rows.append)
    return report, refused_rows


@pytest.mark.usefixtures("db")
def test_a_second_import_adds_nothing(tmp_path: Path) -> None:
    plays = write_checkerboard_csv(tmp_path)
    first, _ = import_files("csv", plays)
    assert (first.tracks_added, first.plays_added, first.plays_known, first.refused) == (20, 180, 0, 0)
    second, _ = import_files("csv", plays)
    assert (second.tracks_added, second.tracks_updated, second.plays_added, second.plays_known) == (0, 0, 0, 180)
    assert (Interaction.objects.count(), Track.objects.count(), User.objects.count()) == (180, 20, 20)
    assert set(load_popular_tracks().values()) == {9}


@pytest.mark.usefixtures("db")
def test_bad_rows_are_reported_and_the_others_are_imported(tmp_path: Path) -> None:
    path = tmp_path / "plays.csv"
    good = "ann,t{},Song {},Band,1700000000,100\n"
    path.write_bytes(
        b"user,track,title,artist,played_at,milestone\n"
        + good.format(1, 1).encode()
        + b"ann,t2,Bad \xff\xfe,Band,1700000000,100\n"  # line 3
        + b"ann,t3,Future,Band,99999999999,100\n"
        + b"ann,t4,Milestone,Band,1700000000,140\n"
        + b"ann,unheard,,,1700000000,100\n"
        + b"too,few\n"
        + good.format(1, 1).encode()  # the same event again
        + good.format(9, 9).encode()
    )
    report, refused_rows = import_files("csv", path)
    assert (report.plays_added, report.plays_known, report.refused) == (2, 1, 5)
    assert {(r.file, r.line) for r in refused_rows} == {("plays.csv", n) for n in (3, 4, 5, 6, 7)}
    reasons = {r.line: r.reason for r in refused_rows}
    assert "UTF-8" in reasons[3]
    assert "milestone: '140'" in reasons[5]
    assert reasons[6] == "track: 'unheard' is not in the catalogue; import it first, or add title and artist"
    assert set(Interaction.objects.values_list("track__external_id", flat=True)) == {"t1", "t9"}


@pytest.mark.usefixtures("db")
def test_the_list_of_refused_rows_contains_no_formulas(tmp_path: Path) -> None:
    path, listing = tmp_path / "=HYPERLINK(1).csv", tmp_path / "refused.tsv"
    path.write_text("user_id,track_id,played_at\n=1+1,t1,yesterday\n")
    call_command("import_plays", str(path), "--format", "csv", "--refused", str(listing))
    [header, row] = [line.split("\t") for line in listing.read_text().splitlines()]
    assert header == ["file", "line", "reason"]
    assert row[:2] == ["'=HYPERLINK(1).csv", "2"]


@pytest.mark.usefixtures("db")
def test_the_command_lists_every_refused_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plays.csv"
    path.write_text("user,track,title,artist,played_at\n" + "ann,t1,Song,Band,never\n" * 30)
    listing = tmp_path / "lists" / "refused.tsv"
    call_command("import_plays", str(path), "--format", "csv", "--refused", str(listing))
    output = capsys.readouterr()
    assert "0 plays added" in output.out
    assert "30 refused" in output.out
    assert output.err.count("refused plays.csv:") == 20
    assert len(listing.read_text().splitlines()) == 31
    assert listing.read_text().splitlines()[1].startswith("plays.csv\t2\t")


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "csv"], "needs a PATH"),
        (["no-such-file.csv", "--format", "csv"], "no-such-file.csv"),
        (["nowhere", "--format", "hetrec2011"], "'nowhere' is neither a folder here nor a data set; data sets are"),
    ],
)
def test_the_command_explains_invalid_arguments(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("import_plays", *arguments)


def write_plays(path: Path, rows: int) -> None:
    with path.open("w") as f:
        f.write("user,track,title,artist,played_at\n")
        for n in range(rows):
            f.write(f"u{n % 50},t{n % 200},Song {n % 200},Band,{1_600_000_000 + n}\n")


@pytest.mark.slow
@pytest.mark.usefixtures("db")
def test_memory_does_not_grow_with_the_size_of_the_file(tmp_path: Path) -> None:
    def peak_memory(rows: int) -> int:
        path = tmp_path / f"{rows}.csv"
        write_plays(path, rows)
        tracemalloc.start()
        report, _ = import_files("csv", path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert report.plays_added + report.plays_known == rows
        return most

    peak_memory(1_000)  # load what is loaded once
    assert peak_memory(40_000) < 1.2 * peak_memory(10_000)  # batches are of 5,000


@pytest.mark.slow
@pytest.mark.usefixtures("db")
def test_the_original_hetrec_files_are_imported() -> None:
    report, refused_rows = import_files("hetrec2011", require_data_set(HETREC))
    assert (report.tracks_added, report.plays_added, refused_rows) == (17_632, 92_834, [])
    assert User.objects.count() == 1_892
    assert TrackTag.objects.count() > 30_000
    assert Interaction.objects.get(user__external_id="2", track__external_id="51").plays == 13_883


@pytest.mark.slow
@pytest.mark.usefixtures("db")
@pytest.mark.skipif(os.environ.get("MUSICREC_TEST_STACK") == "embedded", reason="64,598 plays, read on the other stack")
def test_the_timestamped_plays_of_30music_are_imported() -> None:
    report, refused_rows = import_files("30music", require_data_set("30music-events"))
    assert (report.plays_added + report.plays_known, refused_rows) == (64_598, [])
    first = Interaction.objects.get(user__external_id="33693", played_at__lt="2014-04-20 03:53:00+00:00")
    assert (first.session_id, first.track.title, first.plays) == ("985441", "Track 2673734", 1)


@pytest.fixture
def official_site(tmp_path: Path) -> Iterator[str]:
    """Serve the archive as its publisher does."""
    folder = tmp_path / "site"
    folder.mkdir()
    files = {
        "artists.dat": "id\tname\turl\tpictureURL\n1\tMALICE MIZER\thttp://x\t\n2\tDiary of Dreams\thttp://y\t\n",
        "user_artists.dat": "userID\tartistID\tweight\n2\t1\t13883\n2\t2\t7\n",
        "tags.dat": "tagID\ttagValue\n1\tmetal\n",
        "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\n2\t1\t1\t1\t4\t2009\n",
        "readme.txt": "hetrec2011-lastfm-2k\n",
        "../../evil.txt": "must not be written",
    }
    with zipfile.ZipFile(folder / f"{HETREC}.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture
def var(settings, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    settings.VAR_DIR = tmp_path / "var"
    return tmp_path / "var"


@pytest.mark.usefixtures("db")
def test_the_name_of_a_data_set_downloads_it_once(official_site: str, var: Path, settings, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    settings.MUSICREC = settings.MUSICREC | {"DATASETS_URL": official_site}
    call_command("import_plays", HETREC, "--format", "hetrec2011")
    assert Interaction.objects.get(track__title="MALICE MIZER").plays == 13_883
    assert sorted(p.name for p in (var / "datasets").iterdir()) == [HETREC]
    assert not list(tmp_path.rglob("evil.txt"))
    settings.MUSICREC = settings.MUSICREC | {"DATASETS_URL": "http://127.0.0.1:9/"}
    call_command("import_plays", HETREC, "--format", "hetrec2011")  # from the downloaded folder
    assert Interaction.objects.count() == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "{site}missing/"])
def test_a_failed_download_says_what_to_do_and_leaves_no_files(
    url: str, official_site: str, var: Path, settings
) -> None:  # type: ignore[no-untyped-def]
    settings.MUSICREC = settings.MUSICREC | {"DATASETS_URL": url.format(site=official_site)}
    with pytest.raises(data_set_download.DownloadError, match="give the unpacked folder instead"):
        data_set_download.download_data_set(HETREC, var / "datasets")
    assert list((var / "datasets").iterdir()) == []


def test_a_download_that_is_not_an_archive_leaves_no_files(
    official_site: str, var: Path, settings, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "site" / f"{HETREC}.zip").write_bytes(b"<html>moved</html>")
    settings.MUSICREC = settings.MUSICREC | {"DATASETS_URL": official_site}
    with pytest.raises(data_set_download.DownloadError, match="not a zip file"):
        data_set_download.download_data_set(HETREC, var / "datasets")
    assert list((var / "datasets").iterdir()) == []


def test_an_unknown_name_lists_the_known_data_sets(var: Path) -> None:
    with pytest.raises(data_set_download.DownloadError, match=f"data sets are {HETREC}"):
        data_set_download.download_data_set("milky-way", var)


@pytest.mark.usefixtures("db")
def test_records_before_the_damage_stay_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importer = IMPORTERS["csv"]

    def read_until_damage(paths: Sequence[Path], **options: Any) -> Iterator[Record]:
        yield from importer.read(paths, **options)
        raise FormatError("plays.parquet: damaged in the middle")

    monkeypatch.setitem(IMPORTERS, "csv", replace(importer, read=read_until_damage))
    with pytest.raises(FormatError):
        import_files("csv", write_checkerboard_csv(tmp_path))
    assert Interaction.objects.count() == 180
    assert len(load_popular_tracks()) == 20


@pytest.mark.usefixtures("db")
def test_the_progress_bar_counts_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_plays(tmp_path / "plays.csv", 6_000)
    call_command("import_plays", str(tmp_path / "plays.csv"), "--format", "csv")
    progress = capsys.readouterr().err
    assert "importing csv: 6,000 plays 100%" in progress
    assert "B/s" not in progress
