import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from rest_framework.test import APIClient

from access.models import Scope, User
from access.services import create_service_key
from access.sign_ins import sign_in
from experiments.exposures.log import slate_log
from recommendations.serving.filters import unavailable_tracks
from recommendations.serving.model_cache import model_cache
from recommendations.serving.response_cache import response_cache
from tests.people import Catalogue
from tracks.card_cache import track_card_cache

# How long an example takes says what else the machine is doing.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that take long come first, or one process would end alone with the last of them."""
    items.sort(key=lambda item: not (item.get_closest_marker("slow") or hasattr(item.module, "new_stack")))  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _own_model_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Every test has a model folder of its own, and a process that has not looked at it yet."""
    if "db" not in request.fixturenames and "transactional_db" not in request.fixturenames:
        yield
        return
    settings = request.getfixturevalue("settings")
    settings.MUSICREC = settings.MUSICREC | {"MODEL_DIR": tmp_path / "models", "FACTORS": 2, "TRAINING_THREADS": 1}
    settings.MUSICREC |= {"RATE_LISTENER": "", "RATE_KEY": "", "RATE_SIGN_IN": ""}  # tests of limits set their own
    settings.MUSICREC |= {"AHEAD_LISTENERS": 0}  # tests of what is computed ahead say otherwise
    settings.WHITENOISE_AUTOREFRESH = True  # or each client of a test would look through all static files first
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a good one takes 0.3 s a listener
    model_cache.reset()
    unavailable_tracks.expire()
    response_cache.clear()
    track_card_cache.forget()
    slate_log.clear()
    yield
    model_cache.reset()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", password="wonderland-7")


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password="builder-77")


@pytest.fixture
def catalogue(db: None) -> Catalogue:
    return Catalogue()


@pytest.fixture
def as_listener() -> Callable[[User], APIClient]:
    def client(user: User) -> APIClient:
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {sign_in(user).access}")
        return api

    return client


@pytest.fixture
def service(db: None) -> APIClient:
    """A back end with every scope."""
    return as_service(*Scope.values)


@pytest.fixture
def as_service_with(db: None) -> Callable[..., APIClient]:
    return as_service


def as_service(*scopes: str) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Api-Key {create_service_key(f'test {uuid.uuid4().hex}', scopes)}")
    return api


def assert_problem(response: Any, status: int) -> dict[str, Any]:
    """The problem of an error answer, whose form is checked."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() == {"type", "title", "status", "detail", "errors", "request_id"}
    assert body["status"] == status
    return body
