"""Histories that listeners upload, and the jobs that import them."""

import gzip
import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from access.models import User
from common.background import BrokerUnavailable
from interactions.imports import jobs, services
from interactions.imports.jobs import RESTARTED, Status, run_pending_imports, upload_folder
from interactions.imports.services import delete_uploads
from interactions.models import HistoryImport, Interaction
from tests.conftest import assert_problem
from tests.importers.histories.test_listenbrainz import listen
from tests.importers.histories.test_spotify import play
from tests.people import store_track
from tests.stack import Stack, new_stack
from tracks.models import Artist, Track

CASES = Path(__file__).parents[2] / "cases" / "imports"


@pytest.fixture
def fade(db: None) -> Track:
    return store_track(title="Fade", artist=Artist.objects.create(name="Kanye West"), duration_ms=194_000)


@pytest.fixture(autouse=True)
def _own_upload_folder(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "var"


@pytest.fixture
def pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave uploads pending until the test calls `run_pending_imports`."""
    monkeypatch.setattr(services, "start_background_task", lambda *args, **options: None)


@pytest.fixture
def phone(alice: User, as_listener: Any) -> APIClient:
    client: APIClient = as_listener(alice)
    return client


def upload(client: APIClient, content: Any, path: str = "/users/me/imports") -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.generic("POST", path, body, content_type="application/octet-stream")


def fetch_job(client: APIClient, response: Any) -> dict[str, Any]:
    assert response.status_code == 202, response.content
    job: dict[str, Any] = client.get(response["Location"]).json()
    assert job["import_id"] == response.json()["import_id"]
    return job


@pytest.mark.usefixtures("pending")
def test_an_upload_creates_a_job_that_reports_progress(phone: APIClient, fade: Track, alice: User) -> None:
    response = upload(phone, [listen(), listen("Unknown"), listen("")])
    job = fetch_job(phone, response)
    assert (job["status"], job["format"], job["bytes_done"], job["finished_at"]) == ("waiting", "auto", 0, None)
    assert response["Location"] == f"/users/{alice.pk}/imports/{job['import_id']}"
    run_pending_imports()
    job = fetch_job(phone, response)
    assert (job["status"], job["format"], job["bytes_done"]) == ("done", "listenbrainz", job["bytes_total"])
    assert [job[name] for name in ("added", "known", "unmatched", "refused")] == [1, 0, 1, 1]
    assert job["detail"].startswith("upload:3: track_name")
    assert phone.get("/users/me/imports").json() == {"imports": [job]}
    assert list(upload_folder().iterdir()) == []
    response = upload(phone, [listen(), listen("Unknown"), listen("")])
    run_pending_imports()
    job = fetch_job(phone, response)
    assert [job[name] for name in ("added", "known", "unmatched", "refused")] == [0, 2, 0, 1]


@pytest.mark.usefixtures("pending", "fade")
def test_a_multipart_form_is_accepted(phone: APIClient, service: APIClient, alice: User) -> None:
    file = SimpleUploadedFile("endsong_0.json", json.dumps([play()]).encode())
    response = service.post(f"/users/{alice.pk}/imports?format=spotify", {"file": file}, format="multipart")
    run_pending_imports()
    assert fetch_job(service, response)["added"] == 1
    assert_problem(phone.post("/users/me/imports", {"other": "x"}, format="multipart"), 400)


@pytest.mark.usefixtures("pending")
@pytest.mark.parametrize("body", [b"PK\x03\x04 no archive", b"[{", b"\x00" * 100, b"{}", b"a,b\n"])
def test_a_file_that_is_not_a_history_fails_with_a_reason(phone: APIClient, body: bytes) -> None:
    response = upload(phone, body)
    run_pending_imports()
    job = fetch_job(phone, response)
    assert (job["status"], bool(job["detail"])) == ("failed", True)
    assert job["import_id"] not in job["detail"]
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("pending", "fade")
def test_the_report_of_a_job_counts_every_reason(phone: APIClient) -> None:
    rows = [listen(at=1_700_000_000)] + [listen("")] * 30 + [listen(at=n) for n in range(25)] + [[7]]
    response = upload(phone, rows)
    run_pending_imports()
    job = fetch_job(phone, response)
    assert (job["status"], job["added"], job["refused"]) == ("done", 1, 56)
    assert job["detail"].splitlines() == [
        "30 rows: upload:2: track_name: empty, expected a text of 1 to 512 characters; also upload:3, upload:4, …",
        "25 rows: upload:32: listened_at: '0' is not a UNIX second from October 2002 to today; "
        "also upload:33, upload:34, …",
        "upload:57: track_metadata: empty, expected an object with artist_name and track_name",
    ]


@pytest.mark.usefixtures("pending")
def test_uploads_have_their_own_size_limit(phone: APIClient, settings: Any) -> None:
    assert upload(phone, b" " * 3_000_000).status_code == 202
    settings.MUSICREC = settings.MUSICREC | {"IMPORT_MAX_BYTES": 10}
    assert_problem(upload(phone, b"x" * 11), 413)
    assert upload(phone, b"").json()["detail"].startswith("the body is empty; send the export as the body")
    assert_problem(upload(phone, b""), 400)
    assert [path.suffix for path in upload_folder().iterdir()] == [""]


@pytest.mark.usefixtures("pending")
@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", ""])
def test_a_gzipped_body_is_unpacked(phone: APIClient, encoding: str) -> None:
    song = store_track(title="Song One", artist=Artist.objects.create(name="Test Band"), duration_ms=200_000)
    body = (CASES / "upload_gzip.json.gz").read_bytes()
    headers = {"Content-Encoding": encoding} if encoding else {}
    response = phone.generic("POST", "/users/me/imports", body, "application/json", headers=headers)
    run_pending_imports()
    job = fetch_job(phone, response)
    assert (job["status"], job["format"], job["added"], job["detail"]) == ("done", "spotify", 1, "")
    assert job["bytes_done"] == job["bytes_total"] == len(gzip.decompress(body))
    assert list(Interaction.objects.values_list("track", "ms_played")) == [(song.pk, 200_000)]


@pytest.mark.usefixtures("pending")
def test_a_body_that_cannot_be_unpacked_is_refused(phone: APIClient, settings: Any) -> None:
    body = (CASES / "upload_gzip.json.gz").read_bytes()

    def post(body: bytes, encoding: str, content_type: str = "application/json") -> Any:
        headers = {"Content-Encoding": encoding}
        return phone.generic("POST", "/users/me/imports", body, content_type, headers=headers)

    for damaged in (body[:-9], body[:40], b"", b"[]", body[:30] + b"?" + body[31:]):
        assert_problem(post(damaged, "gzip"), 400)
    assert_problem(post(gzip.compress(b""), "gzip"), 400)
    for encoding in ("br", "deflate", "zstd", "gzip, gzip"):
        assert_problem(post(body, encoding), 415)
    assert_problem(post(body, "gzip", "multipart/form-data; boundary=x"), 415)
    settings.MUSICREC = settings.MUSICREC | {"IMPORT_MAX_BYTES": len(body) + 10}
    assert len(gzip.decompress(body)) > len(body) + 10
    assert_problem(post(body, "gzip"), 413)
    assert not HistoryImport.objects.exists()
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("pending")
def test_uploads_are_authorized_and_limited(phone: APIClient, alice: User, bob: User, as_service_with: Any) -> None:
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
    import_id = fetch_job(phone, upload(phone, [listen()]))["import_id"]
    assert_problem(back_end.get(f"/users/{bob.pk}/imports/{import_id}"), 404)
    for _ in range(2):
        assert upload(phone, [listen()]).status_code == 202
    assert_problem(upload(phone, [listen()]), 409)
    alice.consent = False
    alice.save()
    assert_problem(upload(phone, [listen()]), 409)
    assert len(list(upload_folder().iterdir())) == 3


def test_no_job_remains_if_the_broker_is_unavailable(phone: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise BrokerUnavailable("the broker does not answer")

    monkeypatch.setattr(services, "start_background_task", fail)
    assert_problem(upload(phone, [listen()]), 503)
    assert not HistoryImport.objects.exists()
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("pending", "fade")
def test_a_killed_job_is_restarted_and_stores_nothing_twice(phone: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    response = upload(phone, [listen(at=1_700_000_000 + n) for n in range(10)])
    monkeypatch.setattr("interactions.imports.listening_history.BATCH_SIZE", 4)

    update, update_count = jobs._update, 0

    def die_after_three_updates(*args: Any, **columns: Any) -> None:
        nonlocal update_count
        update_count += 1
        if update_count > 3:
            raise SystemExit  # like a killed process, this leaves the row and the file
        update(*args, **columns)

    with monkeypatch.context() as context:
        context.setattr(jobs, "_update", die_after_three_updates)
        with pytest.raises(SystemExit):
            run_pending_imports()
    job = fetch_job(phone, response)
    assert (job["status"], job["added"], Interaction.objects.count()) == ("running", 4, 8)
    run_pending_imports()
    job = fetch_job(phone, response)
    assert (job["status"], job["added"], job["known"], Interaction.objects.count()) == ("done", 2, 8, 10)


@pytest.mark.usefixtures("pending")
def test_a_job_that_is_interrupted_twice_or_has_lost_its_file_fails(phone: APIClient) -> None:
    interrupted, lost = upload(phone, [listen()]), upload(phone, [listen()])
    HistoryImport.objects.filter(pk=interrupted.json()["import_id"]).update(status=Status.RUNNING, detail=RESTARTED)
    (upload_folder() / lost.json()["import_id"]).unlink()
    run_pending_imports()
    assert [fetch_job(phone, response)["status"] for response in (interrupted, lost)] == ["failed", "failed"]
    assert list(upload_folder().iterdir()) == []


@pytest.mark.usefixtures("pending")
def test_a_job_that_another_process_works_on_is_skipped(phone: APIClient) -> None:
    response = upload(phone, [listen()])
    with jobs._lock_file(UUID(response.json()["import_id"])) as is_locked:
        assert is_locked
        assert run_pending_imports() == "0 imports"
    assert run_pending_imports() == "1 imports"


@pytest.mark.usefixtures("pending")
def test_no_uploaded_file_outlives_its_listener(phone: APIClient, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    upload(phone, [listen()])
    delete_uploads(alice.pk)
    assert list(upload_folder().iterdir()) == []
    upload(phone, [listen()])
    alice.delete()
    run_pending_imports()
    assert len(list(upload_folder().iterdir())) == 1  # it is young enough to belong to an upload that is just arriving
    monkeypatch.setattr(jobs, "ORPHAN_AGE_S", -1)
    run_pending_imports()
    assert list(upload_folder().iterdir()) == []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("histories")
    stack = new_stack(folder)
    plays = "user,track,title,artist,played_at\nann,t1,Fade,Kanye West,1600000000\n"
    (folder / "plays.csv").write_text(plays)
    stack.manage("import_plays", str(folder / "plays.csv"), "--format", "csv")
    return stack


@pytest.mark.slow
def test_an_installation_imports_an_upload_in_the_background(stack: Stack) -> None:
    key, ann = f"Api-Key {stack.create_service_key('listeners')}", stack.prepare_listener("ann")
    rows = [listen(at=1_700_000_000 + n, filler="x" * 2000) for n in range(3_000)]
    with stack.run_servers(worker="DATABASE_URL" in stack.environment):
        response = stack.request(f"/users/{ann}/imports", auth=key, body=json.dumps(rows).encode())
        assert response.status == 202, response.body
        location = next(value for name, value in response.headers.items() if name.lower() == "location")
        deadline = time.monotonic() + 60
        while (job := stack.request(location, auth=key).body)["finished_at"] is None:
            assert time.monotonic() < deadline, job
            time.sleep(0.3)
    assert (job["status"], job["added"], job["detail"]) == ("done", 3_000, "")
    assert list((stack.var / "uploads").iterdir()) == []
