"""A version that was trained on another database does not serve this one."""

import json
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from access.models import User
from recommendations.models import Alarm, Installation, ModelArtifact
from recommendations.services import CannotPublish, publish_version, roll_back
from recommendations.serving.model_cache import model_cache
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service, version_store
from tests.people import CatalogueFactory
from tests.play_files import write_checkerboard_csv
from tests.stack import new_stack
from tracks.models import Track


@pytest.fixture
def user(catalogue: CatalogueFactory) -> User:
    user = catalogue.checkerboard()[0][0]
    assert run_training("test").status == "Published"
    return user


def answer(service: APIClient, user: User) -> dict[str, Any]:
    response = service.get(f"/recommend/user/{user.pk}/ml?limit=5")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    assert len(body["results"]) == 5
    return body


def source(body: dict[str, Any]) -> tuple[Any, ...]:
    return body["strategy"], body["degraded"], body["fallback_reason"], body["model_version"]


def become_another_database() -> None:
    """Give this database the id of another one, as if the model folder were that one's, and start anew."""
    Installation.objects.update(identity=uuid.uuid4())
    model_cache.reset()


FOREIGN = ("popular", True, "foreign_model", None)


def test_a_version_names_the_database_it_was_trained_on(user: User, service: APIClient) -> None:
    version = str(version_in_service())
    assert version_store().manifest(version)["installation"] == str(Installation.objects.get().identity)
    assert ModelArtifact.objects.get().manifest["installation"] == str(Installation.objects.get().identity)
    assert source(answer(service, user)) == ("personal", False, None, version)


def test_a_foreign_version_is_replaced_by_popular_tracks_and_reported(user: User, service: APIClient) -> None:
    version = str(version_in_service())
    become_another_database()
    assert source(answer(service, user)) == FOREIGN
    [alarm] = Alarm.objects.filter(resolved_at=None)
    assert (alarm.kind, alarm.subject) == ("foreign_model", version)
    assert service.get("/health/ready").json() | {"pid": 0} == {
        "status": "degraded",
        "problem": "foreign_model",
        "model_version": None,
        "pid": 0,
    }


def test_every_endpoint_answers_without_a_foreign_version(user: User, service: APIClient) -> None:
    become_another_database()
    track = Track.objects.earliest("pk")
    similar = service.get(f"/recommend/similar/{track.pk}?limit=5").json()
    assert (similar["strategy"], similar["fallback_reason"]) == ("content", "foreign_model")
    assert source(service.get(f"/recommend/user/{user.pk}?limit=5").json()) == ("popular", False, None, None)
    shelves = [{"name": "a", "kind": "personal", "limit": 5}]
    for body in ({"users": [user.pk], "limit": 5}, {"user_id": user.pk, "shelves": shelves}):
        batch = service.post("/recommend/batch", body, format="json").json()
        [only] = batch.get("answers") or batch["shelves"]
        assert (source(only), len(only["results"])) == (FOREIGN, 5)


def test_an_empty_database_refuses_a_version_that_names_another(user: User, service: APIClient) -> None:
    Installation.objects.all().delete()
    model_cache.reset()
    assert source(answer(service, user)) == FOREIGN


def test_the_next_training_takes_over_and_resolves_the_alarm(user: User, service: APIClient) -> None:
    foreign = version_in_service()
    become_another_database()
    assert version_in_service() is None
    assert source(answer(service, user)) == FOREIGN
    result = run_training("test")  # plays and settings are those of the foreign version
    assert (result.status, version_in_service() != foreign) == ("Published", True)
    assert source(answer(service, user)) == ("personal", False, None, version_in_service())
    assert not Alarm.objects.filter(resolved_at=None).exists()


def test_a_foreign_version_cannot_be_put_into_service(user: User, service: APIClient) -> None:
    foreign = str(version_in_service())
    become_another_database()
    run_training("test")
    serving = version_in_service()
    for publish in (lambda: publish_version(foreign), roll_back):
        with pytest.raises(CannotPublish, match="trained on another database"):
            publish()
    assert version_in_service() == serving
    assert source(answer(service, user)) == ("personal", False, None, serving)


def test_a_version_of_an_earlier_release_names_no_database_and_serves(user: User, service: APIClient) -> None:
    version = str(version_in_service())
    path = version_store().folder(version) / "manifest.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "installation"}))
    become_another_database()
    assert source(answer(service, user)) == ("personal", False, None, version)


def test_a_running_process_notices_that_the_database_was_replaced(
    user: User, service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, identity = version_in_service(), Installation.objects.get().identity
    assert source(answer(service, user)) == ("personal", False, None, version)
    for restored, expected in (
        (uuid.uuid4(), FOREIGN),
        (identity, ("personal", False, None, version)),
    ):
        Installation.objects.update(identity=restored)
        monkeypatch.setattr(model_cache, "_catalogue_until", 0.0)  # half a minute later
        answer(service, user)
        assert source(answer(service, user)) == expected
    assert not Alarm.objects.filter(resolved_at=None).exists()


@pytest.mark.slow
def test_a_model_folder_copied_from_another_installation_does_not_serve(tmp_path: Path) -> None:
    here, there = new_stack(tmp_path / "here"), new_stack(tmp_path / "there")
    plays = str(write_checkerboard_csv(tmp_path))
    for stack in (here, there):
        stack.manage("import_plays", "--format", "csv", plays)
        stack.manage("train_model")
    shutil.rmtree(here.var / "models")
    shutil.copytree(there.var / "models", here.var / "models")
    key = "Api-Key " + here.create_service_key("recommend")
    listener = here.prepare_listener("u2")
    with here.run_servers(single_process=True):
        body = here.request(f"/recommend/user/{listener}/ml?limit=5", auth=key).body
        assert (source(body), len(body["results"])) == (FOREIGN, 5)
        assert here.request("/health/ready").body["problem"] == "foreign_model"
        here.manage("train_model")
        for _ in range(100):
            if here.request("/health/ready").body["status"] == "ok":
                break
            time.sleep(0.1)
        body = here.request(f"/recommend/user/{listener}/ml?limit=5", auth=key).body
        assert (body["strategy"], body["degraded"]) == ("personal", False)
    open_alarms = "from recommendations.models import Alarm; print(Alarm.objects.filter(resolved_at=None).count())"
    assert here.run_python(open_alarms) == "0"
