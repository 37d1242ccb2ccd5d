import json
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from access.models import User
from importers.errors import FormatError
from interactions.imports.data_set import import_data_set
from interactions.imports.listening_history import ImportNotAllowed, import_history
from interactions.models import Interaction, UnmatchedListen
from tests.importers.histories.history_files import archive, write
from tests.importers.histories.test_listenbrainz import listen
from tests.importers.histories.test_spotify import play
from tests.people import store_track
from tracks.models import Artist, Track


@pytest.fixture
def fade(db: None) -> Track:
    return store_track(title="Fade", artist=Artist.objects.create(name="Kanye West"), duration_ms=194_000)


def test_spotify_plays_are_stored_as_playbacks(fade: Track, alice: User, tmp_path: Path) -> None:
    rows = [
        play(),
        play(ts="2023-11-15T10:00:00Z", ms_played=5_000, reason_end="fwdbtn"),
        play(ts="2023-11-15T10:05:00Z", ms_played=100_000, reason_end="endplay"),
        play(ts="2023-11-15T11:05:00Z", master_metadata_track_name=None),
    ]
    report = import_history(alice.pk, [write(tmp_path, "endsong_0.json", rows)])
    assert (report.added, report.known, report.unmatched, report.refused) == (3, 0, 0, 1)
    columns = ("end_reason", "milestone", "is_skip", "is_listen", "source", "device")
    phone = "Android OS 13 API 33"
    assert list(Interaction.objects.order_by("played_at").values_list(*columns)) == [
        ("finished", 93, False, True, "import:spotify", phone),
        ("skipped", 2, True, False, "import:spotify", phone),
        ("stopped", 51, False, True, "import:spotify", phone),
    ]


def test_a_second_import_adds_nothing_even_in_another_format(fade: Track, alice: User, tmp_path: Path) -> None:
    first = write(tmp_path, "a.json", [listen(), listen("Unknown")])
    again = archive(tmp_path / "a.zip", {"listens/2023/11.jsonl": json.dumps(listen())})
    csv = write(tmp_path, "a.csv", "Kanye West,,Fade,14 Nov 2023 22:13\n")
    report = import_history(alice.pk, [first, again, csv])
    # The CSV has minutes only, but its listen is the same play.
    assert (report.added, report.known, report.unmatched) == (1, 2, 1)
    report = import_history(alice.pk, [first])
    assert (report.added, report.known, report.unmatched) == (0, 2, 0)
    assert (Interaction.objects.count(), UnmatchedListen.objects.count()) == (1, 1)


def test_without_a_duration_the_source_decides_how_much_was_heard(alice: User, tmp_path: Path) -> None:
    store_track(title="Fade", artist=Artist.objects.create(name="Kanye West"))
    rows = [play(), play(ts="2023-11-15T10:00:00Z", ms_played=100_000, reason_end="endplay")]
    import_history(alice.pk, [write(tmp_path, "endsong_0.json", rows), write(tmp_path, "lb.json", [listen()])])
    stored = Interaction.objects.order_by("played_at").values_list("source", "milestone", "is_completed", "is_listen")
    assert list(stored) == [
        ("import:spotify", 100, True, True),
        ("import:listenbrainz", 50, False, True),
        ("import:spotify", 0, False, False),
    ]


def test_a_catalogue_import_matches_the_waiting_listens(alice: User, tmp_path: Path) -> None:
    import_history(alice.pk, [write(tmp_path, "lb.json", [listen(isrc="USUM71600001")])])
    catalogue = write(tmp_path, "tracks.csv", "id,title,artist,isrc\n1,Fade (Explicit),Ye,USUM71600001\n")
    import_data_set("csv", [catalogue], namespace="", as_of=int(time.time()))
    assert Interaction.objects.get().track.external_id == "1"
    assert not UnmatchedListen.objects.exists()


def test_waiting_listens_are_matched_in_batches_and_only_once(
    fade: Track, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("interactions.listenbrainz.services.BATCH_SIZE", 7)
    for user in (alice, bob):
        UnmatchedListen.objects.bulk_create(
            UnmatchedListen(user=user, event_id=uuid4(), listened_at=f"2024-01-01T{n:02}:00Z", artist="A", title="B",
                            match_key=fade.match_key if n % 2 else "other\x1fsong", source="listenbrainz")
            for n in range(20)
        )  # fmt: skip
    call_command("match_listens")
    assert "20 listens matched, 20 still wait" in capsys.readouterr().out
    call_command("match_listens")
    assert Interaction.objects.count() == 20


def test_nothing_is_imported_without_consent(fade: Track, alice: User, tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", [listen()])
    alice.consent = False
    alice.save()
    with pytest.raises(ImportNotAllowed, match="consent"):
        import_history(alice.pk, [path])
    with pytest.raises(ImportNotAllowed, match="no listener"):
        import_history(99_999, [path])
    assert not Interaction.objects.exists()


def test_listens_before_the_damage_are_kept(fade: Track, alice: User, tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps([listen(), listen(at=1_700_000_500), listen()])[:-30])
    report = import_history(alice.pk, [path])
    assert (report.added, report.refused) == (2, 1)
    assert report.describe_problems() == ("a.json: item 3 is not valid JSON, or is cut off; download the export again")
    assert Interaction.objects.count() == 2
    with pytest.raises(FormatError, match=r"a\.json: item 1 is not valid JSON"):
        import_history(alice.pk, [write(tmp_path, "a.json", json.dumps([listen()])[:-30])])


def test_the_command_reports_what_it_stored_and_refused(fade: Track, alice: User, tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path, "a.json", [listen(), listen("")])
    call_command("import_history", str(alice.pk), str(path))
    out, err = capsys.readouterr()
    assert (
        "1 listens added, 0 known already, 0 newly waiting for tracks that the catalogue does not have; 1 rows refused"
    ) in out
    assert "refused a.json:2: track_name" in err
    for arguments in ([str(alice.pk), str(tmp_path / "none")], ["99999", str(path)]):
        with pytest.raises(CommandError):
            call_command("import_history", *arguments)


@pytest.mark.parametrize("batch_size", [1, 2_000])
def test_a_play_that_waits_is_counted_once_however_often_it_is_imported(
    alice: User, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    monkeypatch.setattr("interactions.imports.listening_history.BATCH_SIZE", batch_size)
    path = write(tmp_path, "a.json", [listen(), listen(), listen("Unknown", at=1_700_000_500)])
    for numbers in ("0 listens added, 1 known already, 2 newly", "0 listens added, 3 known already, 0 newly"):
        call_command("import_history", str(alice.pk), str(path))
        sentence = f"{numbers} waiting for tracks that the catalogue does not have; 0 rows refused\n"
        assert capsys.readouterr().out == sentence
    assert UnmatchedListen.objects.count() == 2
    # A repeated import of a damaged file has listens, although all of them are known.
    damaged = write(tmp_path, "b.json", json.dumps([listen(), listen()])[:-10])
    report = import_history(alice.pk, [damaged])
    assert (report.added, report.known, report.unmatched, report.refused) == (0, 1, 0, 1)


def test_the_command_imports_a_folder_and_names_what_it_does_not_read(
    fade: Track, alice: User, tmp_path: Path, capsys: Any
) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    write(folder, "a.json", [play()])
    write(folder, "b.csv", "Kanye West,,Fade,14 Nov 2022 22:13\n")
    write(folder, "c.csv", "artist,title,when\nKanye West,Fade,14 Nov 2021 22:13\n")
    write(folder, "d.html", "<!doctype html><title>Sign in</title>")
    write(folder, "e.json", json.dumps([play(ts="2023-11-15T10:00:00Z"), play()])[:-10])
    call_command("import_history", str(alice.pk), str(folder))
    out, err = capsys.readouterr()
    assert "3 listens added, 0 known already" in out
    for message in (
        "exports/c.csv: names no column for the time (not known: 'when')",
        "exports/d.html: is a web page (HTML), not an export",
        "exports/e.json: item 2 is not valid JSON, or is cut off",
    ):
        assert message in err
    assert sorted(Interaction.objects.values_list("source", flat=True)) == [
        "import:lastfm",
        "import:spotify",
        "import:spotify",
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("page.json", "<!DOCTYPE html><title>Sign in</title>", r"page\.json: is a web page .* sign in there"),
        ("table.csv", "foo,bar,baz\n1,2,3\n", r"table\.csv: names no column that is known in its first line \('foo', "),
        ("damaged.json", '[{"track_metadata": ', r"damaged\.json: item 1 is not valid JSON, or is cut off"),
        ("empty.csv", "", r"empty\.csv: is empty"),
    ],
)
def test_the_command_fails_with_a_sentence_if_nothing_can_be_read(
    alice: User, tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = write(tmp_path, name, content)
    for arguments in ([], ["--format", "listenbrainz"]):
        with pytest.raises(CommandError, match=message):
            call_command("import_history", str(alice.pk), str(path), *arguments)
    assert not Interaction.objects.exists()


def test_the_admin_lists_missing_tracks_by_their_number_of_listens(
    admin_client: Any, alice: User, bob: User, tmp_path: Path
) -> None:
    for user, titles in ((alice, ["One", "Two", "TWO (Remastered)"]), (bob, ["Two"])):
        rows = [listen(title, at=1_700_000_000 + n) for n, title in enumerate(titles)]
        import_history(user.pk, [write(tmp_path, f"{user}.json", rows)])
    page = admin_client.get("/admin/interactions/unmatchedlisten/")
    shown = page.context["cl"].result_list
    assert [(row.match_key[-3:], row._listens, row._listeners) for row in shown] == [("two", 3, 2), ("one", 1, 1)]
    assert admin_client.get("/admin/interactions/unmatchedlisten/?q=One").status_code == 200
    assert admin_client.get("/admin/interactions/historyimport/").status_code == 200
    assert admin_client.get("/admin/access/listentoken/").status_code == 200
