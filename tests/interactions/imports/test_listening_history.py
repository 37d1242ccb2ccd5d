import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from rest_framework.test import APIClient

from access.models import User
from common.background import BrokerUnavailable
from importers.errors import FormatError
from interactions.imports import jobs, services
from interactions.imports.data_set import import_data_set
from interactions.imports.jobs import RESTARTED, Status, run_pending_imports, upload_folder
from interactions.imports.listening_history import ImportNotAllowed, import_history
from interactions.imports.services import delete_uploads
from interactions.models import HistoryImport, Interaction, UnmatchedListen
from tests.conftest import assert_problem
from tests.importers.histories.history_files import archive, write
from tests.importers.histories.test_listenbrainz import listen
from tests.importers.histories.test_spotify import play
from tests.people import store_track
from tests.stack import Stack, new_stack
from tracks.models import Artist, Track


@pytest.fixture
def fade(db: None) -> Track:
    return store_track(title="Fade", artist=Artist.objects.create(name="Kanye West"), duration_ms=194_000)


@pytest.fixture(autouse=True)
def _own_uploads(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "var"


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is uploaded waits until the test lets it be taken in."""
    monkeypatch.setattr(services, "start_background_task", lambda *args, **options: None)


@pytest.fixture
def phone(alice: User, as_listener: Any) -> APIClient:
    client: APIClient = as_listener(alice)
    return client


def upload(client: APIClient, content: Any, path: str = "/users/me/imports") -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.generic("POST", path, body, content_type="application/octet-stream")


def job_of(client: APIClient, response: Any) -> dict[str, Any]:
    assert response.status_code == 202, response.content
    job: dict[str, Any] = client.get(response["Location"]).json()
    assert job["import_id"] == response.json()["import_id"]
    return job


def test_spotify_is_kept_as_playbacks(fade: Track, alice: User, tmp_path: Path) -> None:
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


def test_a_second_import_adds_nothing_whichever_way_the_listens_come(fade: Track, alice: User, tmp_path: Path) -> None:
    first = write(tmp_path, "a.json", [listen(), listen("Unknown")])
    again = archive(tmp_path / "a.zip", {"listens/2023/11.jsonl": json.dumps(listen())})
    csv = write(tmp_path, "a.csv", "Kanye West,,Fade,14 Nov 2023 22:13\n")
    report = import_history(alice.pk, [first, again, csv])
    assert (report.added, report.known, report.unmatched) == (2, 1, 1)  # the CSV's minute is another time
    report = import_history(alice.pk, [first])
    assert (report.added, report.known, report.unmatched) == (0, 1, 1)
    assert (Interaction.objects.count(), UnmatchedListen.objects.count()) == (2, 1)


def test_where_no_length_is_known_the_source_counts(alice: User, tmp_path: Path) -> None:
    store_track(title="Fade", artist=Artist.objects.create(name="Kanye West"))
    rows = [play(), play(ts="2023-11-15T10:00:00Z", ms_played=100_000, reason_end="endplay")]
    import_history(alice.pk, [write(tmp_path, "endsong_0.json", rows), write(tmp_path, "lb.json", [listen()])])
    said = Interaction.objects.order_by("played_at").values_list("source", "milestone", "is_completed", "is_listen")
    assert list(said) == [
        ("import:spotify", 100, True, True),
        ("import:listenbrainz", 50, False, True),
        ("import:spotify", 0, False, False),
    ]


def test_a_catalogue_import_matches_what_waited(alice: User, tmp_path: Path) -> None:
    import_history(alice.pk, [write(tmp_path, "lb.json", [listen(isrc="USUM71600001")])])
    catalogue = write(tmp_path, "tracks.csv", "id,title,artist,isrc\n1,Fade (Explicit),Ye,USUM71600001\n")
    import_data_set("csv", [catalogue], namespace="", as_of=int(time.time()))
    assert Interaction.objects.get().track.external_id == "1"
    assert not UnmatchedListen.objects.exists()


def test_waiting_listens_are_matched_in_any_number_once(
    fade: Track, alice: User, bob: User, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("interactions.listenbrainz.services.BATCH_SIZE", 7)
    for user in (alice, bob):
        UnmatchedListen.objects.bulk_create(
            UnmatchedListen(user=user, event_id=uuid4(), listened_at="2024-01-01T00:00Z", artist="A", title="B",
                            match_key=fade.match_key if n % 2 else "other\x1fsong", source="listenbrainz")
            for n in range(20)
        )  # fmt: skip
    call_command("match_listens")
    assert "20 listens matched, 20 still wait" in capsys.readouterr().out
    call_command("match_listens")
    assert Interaction.objects.count() == 20


def test_nothing_is_imported_against_the_listeners_will(fade: Track, alice: User, tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", [listen()])
    alice.consent = False
    alice.save()
    with pytest.raises(ImportNotAllowed, match="consent"):
        import_history(alice.pk, [path])
    with pytest.raises(ImportNotAllowed, match="no listener"):
        import_history(99_999, [path])
    assert not Interaction.objects.exists()


def test_what_stands_before_damage_is_kept(fade: Track, alice: User, tmp_path: Path) -> None:
    path = write(tmp_path, "a.json", json.dumps([listen(), listen(at=1_700_000_500), listen()])[:-30])
    with pytest.raises(FormatError):
        import_history(alice.pk, [path])
    assert Interaction.objects.count() == 2


def test_the_command_reports_and_refuses(fade: Track, alice: User, tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path, "a.json", [listen(), listen("")])
    call_command("import_history", str(alice.pk), str(path))
    out, err = capsys.readouterr()
    assert "1 listens added, 0 known already, 0 of tracks that the catalogue does not have; 1 rows refused" in out
    assert "refused a.json:2: track_name" in err
    for arguments in ([str(alice.pk), str(tmp_path / "none")], ["99999", str(path)]):
        with pytest.raises(CommandError):
            call_command("import_history", *arguments)


@pytest.mark.usefixtures("waiting")
def test_an_upload_is_a_job_with_progress(phone: APIClient, fade: Track, alice: User) -> None:
    response = upload(phone, [listen(), listen("Unknown"), listen("")])
    job = job_of(phone, response)
    assert (job["status"], job["format"], job["bytes_done"], job["finished_at"]) == ("waiting", "auto", 0, None)
    assert response["Location"] == f"/users/{alice.pk}/imports/{job['import_id']}"
    run_pending_imports()
    job = job_of(phone, response)
    assert (job["status"], job["format"], job["bytes_done"]) == ("done", "listenbrainz", job["bytes_total"])
    assert [job[name] for name in ("added", "known", "unmatched", "refused")] == [1, 0, 1, 1]
    assert job["detail"].startswith("upload:3: track_name")
    assert phone.get("/users/me/imports").json() == {"imports": [job]}
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("waiting", "fade")
def test_a_form_is_taken_too(phone: APIClient, service: APIClient, alice: User) -> None:
    file = SimpleUploadedFile("endsong_0.json", json.dumps([play()]).encode())
    response = service.post(f"/users/{alice.pk}/imports?format=spotify", {"file": file}, format="multipart")
    run_pending_imports()
    assert job_of(service, response)["added"] == 1
    assert_problem(phone.post("/users/me/imports", {"other": "x"}, format="multipart"), 400)


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("body", [b"PK\x03\x04 no archive", b"[{", b"\x00" * 100, b"{}", b"a,b\n"])
def test_what_is_no_history_fails_with_a_reason(phone: APIClient, body: bytes) -> None:
    response = upload(phone, body)
    run_pending_imports()
    job = job_of(phone, response)
    assert (job["status"], bool(job["detail"])) == ("failed", True)
    assert job["import_id"] not in job["detail"]
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("waiting")
def test_uploads_have_a_limit_of_their_own(phone: APIClient, settings: Any) -> None:
    assert upload(phone, b" " * 3_000_000).status_code == 202
    settings.MUSICREC = settings.MUSICREC | {"IMPORT_MAX_BYTES": 10}
    assert_problem(upload(phone, b"x" * 11), 413)
    assert_problem(upload(phone, b""), 400)
    assert [path.suffix for path in upload_folder().iterdir()] == [""]


@pytest.mark.usefixtures("waiting")
def test_who_may_upload(phone: APIClient, alice: User, bob: User, as_service_with: Any) -> None:
    back_end = as_service_with("listeners")
    assert_problem(upload(as_service_with("events"), [listen()], f"/users/{alice.pk}/imports"), 403)
    assert_problem(upload(APIClient(), [listen()], f"/users/{alice.pk}/imports"), 401)
    for path in (f"/users/{bob.pk}/imports", "/users/99999999999999999999999/imports"):
        assert_problem(upload(phone, [listen()], path), 404)
        assert_problem(phone.get(path), 404)
    assert_problem(upload(back_end, [listen()], "/users/424242/imports"), 404)
    assert_problem(upload(back_end, [listen()], "/users/99999999999999999999999/imports"), 404)
    assert_problem(upload(phone, [listen()], "/users/me/imports?format=tape"), 400)
    assert_problem(phone.get(f"/users/me/imports/{uuid4()}"), 404)
    hers = job_of(phone, upload(phone, [listen()]))["import_id"]
    assert_problem(back_end.get(f"/users/{bob.pk}/imports/{hers}"), 404)
    for _ in range(2):
        assert upload(phone, [listen()]).status_code == 202
    assert_problem(upload(phone, [listen()]), 409)
    alice.consent = False
    alice.save()
    assert_problem(upload(phone, [listen()]), 409)
    assert len(list(upload_folder().iterdir())) == 3


def test_where_no_work_can_be_started_there_is_no_job(phone: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise BrokerUnavailable("the broker does not answer")

    monkeypatch.setattr(services, "start_background_task", away)
    assert_problem(upload(phone, [listen()]), 503)
    assert not HistoryImport.objects.exists()
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("waiting", "fade")
def test_a_killed_job_is_begun_again_once_and_counts_once(phone: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    response = upload(phone, [listen(at=1_700_000_000 + n) for n in range(10)])
    monkeypatch.setattr("interactions.imports.listening_history.BATCH_SIZE", 4)

    def killed(*args: Any, **columns: Any) -> None:
        raise SystemExit  # as the end of a process does, it leaves the row and the file

    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_update", _dies_after(4, jobs._update, killed))
        with pytest.raises(SystemExit):
            run_pending_imports()
    job = job_of(phone, response)
    assert (job["status"], job["added"], Interaction.objects.count()) == ("running", 4, 8)
    run_pending_imports()
    job = job_of(phone, response)
    assert (job["status"], job["added"], job["known"], Interaction.objects.count()) == ("done", 2, 8, 10)


def _dies_after(calls: int, write: Any, die: Any) -> Any:
    left = [calls]

    def counted(*args: Any, **columns: Any) -> None:
        left[0] -= 1
        (write if left[0] >= 0 else die)(*args, **columns)

    return counted


@pytest.mark.usefixtures("waiting")
def test_what_is_interrupted_twice_or_has_lost_its_file_fails(phone: APIClient) -> None:
    twice, lost = upload(phone, [listen()]), upload(phone, [listen()])
    HistoryImport.objects.filter(pk=twice.json()["import_id"]).update(status=Status.RUNNING, detail=RESTARTED)
    (upload_folder() / lost.json()["import_id"]).unlink()
    run_pending_imports()
    assert [job_of(phone, response)["status"] for response in (twice, lost)] == ["failed", "failed"]
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("waiting")
def test_a_job_that_somebody_works_on_is_left_alone(phone: APIClient) -> None:
    response = upload(phone, [listen()])
    with jobs._lock_file(UUID(response.json()["import_id"])) as mine:
        assert mine
        assert run_pending_imports() == "0 imports"
    assert run_pending_imports() == "1 imports"


@pytest.mark.usefixtures("waiting")
def test_no_file_outlives_its_listener(phone: APIClient, alice: User) -> None:
    upload(phone, [listen()])
    delete_uploads(alice.pk)
    assert list(upload_folder().iterdir()) == []
    upload(phone, [listen()])
    alice.delete()
    run_pending_imports()
    assert len(list(upload_folder().iterdir())) == 1  # it may be one that is just arriving
    jobs.ORPHAN_AGE_S, before = -1, jobs.ORPHAN_AGE_S
    try:
        run_pending_imports()
    finally:
        jobs.ORPHAN_AGE_S = before
    assert list(upload_folder().iterdir()) == []


def test_the_admin_lists_what_is_missing_the_most_wanted_first(
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


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("histories")
    stack = new_stack(folder)
    plays = "user,track,title,artist,played_at\nann,t1,Fade,Kanye West,1600000000\n"
    (folder / "plays.csv").write_text(plays)
    stack.manage("import_plays", str(folder / "plays.csv"), "--format", "csv")
    return stack


def test_an_installation_takes_in_an_upload_by_itself(stack: Stack) -> None:
    key, ann = f"Api-Key {stack.create_service_key('listeners')}", stack.prepare_listener("ann")
    rows = [listen(at=1_700_000_000 + n, filler="x" * 2000) for n in range(3_000)]
    with stack.run_servers(worker="DATABASE_URL" in stack.environment):
        answer = stack.request(f"/users/{ann}/imports", auth=key, body=json.dumps(rows).encode())
        assert answer.status == 202, answer.body
        where = next(value for name, value in answer.headers.items() if name.lower() == "location")
        deadline = time.monotonic() + 60
        while (job := stack.request(where, auth=key).body)["finished_at"] is None:
            assert time.monotonic() < deadline, job
            time.sleep(0.3)
    assert (job["status"], job["added"], job["detail"]) == ("done", 3_000, "")
    assert list((stack.var / "uploads").iterdir()) == []
