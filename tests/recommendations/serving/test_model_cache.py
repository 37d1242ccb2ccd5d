"""How a serving process handles a missing, damaged or unreadable version."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import InterfaceError, connection
from rest_framework.test import APIClient

from access.models import User
from engine.bundle.index_files import IndexConfig
from engine.data.track_features import TrackFeatures
from engine.pipeline import SIMILAR, recommend
from engine.retrieval.candidates import Query
from recommendations.models import Alarm
from recommendations.serving import model_cache as model_cache_module
from recommendations.serving.model_cache import ModelCache, model_cache
from recommendations.training.publish import publish
from recommendations.training.run import run_training
from recommendations.version_store import version_in_service, version_store
from tests.engine.bundle.test_ann_index import make_bundle_of_equal_norms
from tests.people import CatalogueFactory


def truncate(path: Path) -> None:
    with path.open("r+b") as f:
        f.truncate(path.stat().st_size // 2)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    header = content.index(b"\x93NUMPY", content.index(b"item_factors.npy"))
    content[header + 128 + 5] ^= 1  # in the second float
    with path.open("r+b") as f:
        f.write(content)


def replace_by_png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))


def delete_file(path: Path) -> None:
    path.unlink()


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGES = [truncate, flip_a_bit, replace_by_png, delete_file, make_empty]
damages = pytest.mark.parametrize("damage", DAMAGES)


@pytest.fixture
def user(catalogue: CatalogueFactory) -> User:
    return catalogue.checkerboard()[0][0]


def train() -> Path:
    run_training("test", force=True)
    return version_store().folder(str(version_in_service())) / "model.npz"


def get_recommendations(service: APIClient, user: User) -> dict[str, Any]:
    response = service.get(f"/recommend/user/{user.pk}/ml?limit=5")
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    assert len(body["results"]) == 5
    return body


@damages
def test_a_fresh_process_with_a_damaged_version_serves_the_one_before(
    service: APIClient, user: User, damage: Callable[[Path], None]
) -> None:
    before = train().parent.name
    damage(train())
    body = get_recommendations(service, user)
    assert (body["degraded"], body["fallback_reason"]) == (True, "model_unavailable")
    assert (body["strategy"], body["model_version"]) == ("personal", before)
    assert service.get("/health/ready").json() | {"pid": 0} == {
        "status": "degraded",
        "problem": "model_unavailable",
        "model_version": before,
        "pid": 0,
    }
    assert Alarm.objects.get(resolved_at=None).kind == "model_unavailable"


@damages
def test_a_fresh_process_with_no_other_version_serves_what_is_popular(
    service: APIClient, user: User, damage: Callable[[Path], None]
) -> None:
    damage(train())
    body = get_recommendations(service, user)
    assert (body["strategy"], body["degraded"]) == ("popular", True)
    assert (body["fallback_reason"], body["model_version"]) == ("model_unavailable", None)


@damages
def test_damage_to_the_file_in_use_does_not_kill_the_process(
    service: APIClient, user: User, damage: Callable[[Path], None]
) -> None:
    before, now = train().parent.name, train()
    assert get_recommendations(service, user)["degraded"] is False
    damage(now)
    body = get_recommendations(service, user)
    assert (body["degraded"], body["fallback_reason"], body["strategy"]) == (True, "model_unavailable", "personal")
    # A deleted file stays mapped and keeps serving; a file that was changed in place must not be read again.
    assert body["model_version"] == (now.parent.name if damage is delete_file else before)


@damages
def test_a_damaged_new_version_leaves_the_old_one_serving(
    service: APIClient, user: User, damage: Callable[[Path], None]
) -> None:
    old = train().parent.name
    assert get_recommendations(service, user)["model_version"] == old
    damage(train())
    body = get_recommendations(service, user)
    assert (body["model_version"], body["degraded"], body["strategy"]) == (old, True, "personal")


@pytest.mark.parametrize("content", ["", "{", '{"version": "nonsense", "previous": null}', '{"version": 5}'])
def test_a_damaged_pointer_leaves_the_old_one_serving(service: APIClient, user: User, content: str) -> None:
    old = train().parent.name
    assert get_recommendations(service, user)["degraded"] is False
    (version_store().root / "current.json").write_text(content)
    body = get_recommendations(service, user)
    assert (body["model_version"], body["degraded"], body["strategy"]) == (old, True, "personal")


def test_publishing_another_version_ends_the_degradation_and_resolves_the_alarm(service: APIClient, user: User) -> None:
    first = train()
    delete_file(train())
    assert get_recommendations(service, user)["degraded"] is True
    publish(first.parent.name)
    body = get_recommendations(service, user)
    assert (body["model_version"], body["degraded"], body["fallback_reason"]) == (first.parent.name, False, None)
    assert not Alarm.objects.filter(resolved_at=None).exists()


def test_a_file_that_is_back_is_served_after_the_retry_interval(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = train()
    away = path.with_suffix(".away")
    path.rename(away)
    assert get_recommendations(service, user)["strategy"] == "popular"
    away.rename(path)
    monkeypatch.setattr(model_cache, "_retry_at", 0.0)  # half a minute later
    assert get_recommendations(service, user)["degraded"] is False


def test_similar_tracks_and_the_legacy_endpoint_are_answered_without_a_model(service: APIClient, user: User) -> None:
    truncate(train())
    track = get_recommendations(service, user)["results"][0]["track_id"]
    similar = service.get(f"/recommend/similar/{track}").json()
    assert (similar["degraded"], similar["strategy"]) == (True, "content")
    assert service.get(f"/recommend/user/{user.pk}").json()["degraded"] is False


def test_a_deleted_pointer_leaves_the_version_serving_and_raises_an_alarm(service: APIClient, user: User) -> None:
    served = train().parent.name
    assert get_recommendations(service, user)["degraded"] is False
    (version_store().root / "current.json").unlink()
    body = get_recommendations(service, user)
    assert (body["model_version"], body["fallback_reason"]) == (served, "model_unavailable")
    assert Alarm.objects.get(resolved_at=None).message == "FileNotFoundError: current.json is gone"


def test_a_file_of_another_version_is_refused(service: APIClient, user: User) -> None:
    first, second = train(), train()
    second.write_bytes(first.read_bytes())
    body = get_recommendations(service, user)
    assert (body["model_version"], body["fallback_reason"]) == (first.parent.name, "model_unavailable")


def test_a_version_that_can_be_read_again_resolves_the_alarm(
    service: APIClient, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = train()
    content = path.read_bytes()
    path.write_bytes(b"short")
    assert get_recommendations(service, user)["degraded"] is True
    path.write_bytes(content)
    monkeypatch.setattr(model_cache, "_retry_at", 0.0)
    assert get_recommendations(service, user)["degraded"] is False
    assert not Alarm.objects.filter(resolved_at=None).exists()


def test_the_watch_closes_a_connection_that_turns_out_to_be_lost(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> bool:
        raise InterfaceError("connection already closed")

    closed: list[str] = []
    monkeypatch.setattr(model_cache_module, "wait_for_reload", lambda seconds: iter([None]))
    monkeypatch.setattr(model_cache, "check_pointer", fail)
    monkeypatch.setattr(connection, "close", lambda: closed.append("closed"))
    model_cache._watch()
    assert closed == ["closed"]


@pytest.mark.usefixtures("db")
def test_an_index_truncated_while_in_use_is_not_read_again() -> None:
    pytest.importorskip("faiss")
    versions = version_store()
    folder = versions.write(make_bundle_of_equal_norms(), {"report": {}}, IndexConfig("ivf"))
    versions.publish("v1")
    assert model_cache.current().bundle.ann_indexes.keys() == {"personal", "similar"}
    truncate(folder / "similar.faiss")
    now = model_cache.current()
    assert (now.bundle.ann_indexes.keys(), now.problem) == ({"personal"}, None)
    assert recommend(now.bundle, Query(5, track_id=1), SIMILAR).picks


def test_many_requests_at_once_read_the_popularity_again_once_or_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[float] = []

    def load_track_ids(limit: int) -> Any:
        began.append(time.monotonic())
        time.sleep(0.05)
        return np.array([1, 2])

    monkeypatch.setattr(model_cache_module, "find_installation_id", lambda: None)
    monkeypatch.setattr(model_cache_module, "catalogue_revision", lambda: 1)
    monkeypatch.setattr(model_cache_module, "load_popular_tracks", dict)
    monkeypatch.setattr(model_cache_module, "load_track_ids", load_track_ids)
    monkeypatch.setattr(model_cache_module, "load_track_features", TrackFeatures.unknown)
    monkeypatch.setattr(model_cache_module, "load_trending", list)
    cache = ModelCache()
    with ThreadPoolExecutor(8) as pool:
        called = [pool.submit(cache.refresh_popularity) for _ in range(8)]
    assert [call.exception() for call in called] == [None] * 8
    assert len(began) in (1, 2)  # the second for those that came while the first was under way
    cache.refresh_popularity()
    assert len(began) in (2, 3)
