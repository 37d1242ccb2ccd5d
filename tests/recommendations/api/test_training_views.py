"""Training runs over HTTP."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from filelock import FileLock
from rest_framework.test import APIClient

from recommendations.models import TrainingRun
from recommendations.training.run import run_training
from recommendations.version_store import version_store
from tests.conftest import assert_problem
from tests.people import CatalogueFactory
from tests.play_files import write_checkerboard_csv
from tests.stack import new_stack


@pytest.mark.slow
def test_a_run_is_started_and_watched_until_its_version_is_in_service(tmp_path: Path) -> None:
    stack = new_stack(tmp_path)
    stack.manage("import_plays", str(write_checkerboard_csv(stack.var)), "--format", "csv")
    auth = f"Api-Key {stack.create_service_key('training', 'recommend')}"
    with stack.run_servers(worker=True, single_process=True):
        started = stack.request("/training-runs", auth=auth, method="POST")
        assert (started.status, started.body["status"], started.body["trigger"]) == (202, "waiting", "api")
        path = started.headers["location"]
        assert path == f"/training-runs/{started.body['training_run_id']}"
        again = stack.request("/training-runs", auth=auth, method="POST")
        assert (again.status, again.body["detail"]) == (
            409,
            f"training run {started.body['training_run_id']} has not finished; GET {path} shows it",
        )
        deadline = time.monotonic() + 90
        while (run := stack.request(path, auth=auth).body)["finished_at"] is None and time.monotonic() < deadline:
            time.sleep(0.5)
        assert (run["status"], run["stage"]) == ("published", ""), run
        assert stack.request("/training-runs", auth=auth).body["results"] == [run]
        while (answer := stack.request("/recommend/user/1/ml", auth=auth).body)["model_version"] is None:
            assert time.monotonic() < deadline
        assert answer["model_version"] == run["version"]


def test_a_waiting_run_is_the_row_of_the_run_that_begins(service: APIClient, catalogue: CatalogueFactory) -> None:
    catalogue.checkerboard()
    waiting = TrainingRun.objects.create(trigger="api", status="waiting")
    assert service.get(f"/training-runs/{waiting.pk}").json() == {
        "training_run_id": waiting.pk,
        "status": "waiting",
        "stage": "",
        "trigger": "api",
        "started_at": None,
        "finished_at": None,
        "version": None,
        "detail": "",
    }
    result = run_training("api", waiting_run=waiting.pk)
    body = service.get(f"/training-runs/{waiting.pk}").json()
    assert (body["status"], body["version"]) == (
        "published",
        result.run and result.run.artifact and result.run.artifact.version,
    )
    assert body["started_at"] < body["finished_at"]
    assert TrainingRun.objects.count() == 1
    unchanged = run_training("command")
    body = service.get(f"/training-runs/{unchanged.run and unchanged.run.pk}").json()
    assert (body["status"], body["detail"]) == ("unchanged", f"nothing new since version {body['version']}")


def test_a_failure_is_told_without_its_traceback(service: APIClient) -> None:
    run = TrainingRun.objects.create(
        status="failed", trigger="api", finished_at=timezone.now(), detail="ValueError: no\n\nTraceback …"
    )
    assert service.get(f"/training-runs/{run.pk}").json()["detail"] == "ValueError: no"


def test_a_run_that_waits_behind_another_one_is_closed(service: APIClient, db: None) -> None:
    waiting = TrainingRun.objects.create(trigger="api", status="waiting")
    version_store().root.mkdir(parents=True)
    with FileLock(version_store().root / "training.lock"):
        assert run_training("api", waiting_run=waiting.pk).status == "Already running"
        body = service.get(f"/training-runs/{waiting.pk}").json()
    assert (body["status"], body["detail"]) == ("failed", "another training run has not finished")


def test_a_request_that_was_lost_does_not_wait_for_ever(service: APIClient, settings: Any) -> None:
    settings.CELERY_BROKER_URL = ""
    waiting = TrainingRun.objects.create(trigger="api", status="waiting")
    assert service.get(f"/training-runs/{waiting.pk}").json()["status"] == "waiting"
    TrainingRun.objects.update(started_at=timezone.now() - timedelta(minutes=11))
    body = service.get(f"/training-runs/{waiting.pk}").json()
    assert (body["status"], body["detail"]) == ("failed", "the run has not begun: its message or its process was lost")


def test_nothing_is_started_without_a_broker_that_answers(service: APIClient, settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    problem = assert_problem(service.post("/training-runs"), 503)
    assert "the broker does not answer" in problem["detail"]
    assert not TrainingRun.objects.exists()


def test_a_body_is_refused(service: APIClient) -> None:
    problem = assert_problem(service.post("/training-runs", {"force": True}, format="json"), 400)
    assert problem["detail"] == "#: this endpoint takes no body; send the request without one"
    assert not TrainingRun.objects.exists()


def test_the_list_is_read_page_by_page(service: APIClient) -> None:
    for _ in range(5):
        TrainingRun.objects.create(status="unchanged", finished_at=timezone.now())
    ids, path = [], "/training-runs?limit=2"
    while path:
        page = service.get(path).json()
        ids += [run["training_run_id"] for run in page["results"]]
        path = page["next"]
    assert ids == sorted(TrainingRun.objects.values_list("pk", flat=True), reverse=True)
    for cursor in ("!", "WyJhIl0", "WzFd" * 9):
        assert_problem(service.get(f"/training-runs?cursor={cursor}"), 400)
