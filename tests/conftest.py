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
from recommendations.policies.in_use import parse_policies_in_use
from recommendations.serving.filters import find_genre_tracks, unavailable_tracks
from recommendations.serving.model_cache import model_cache
from recommendations.serving.response_cache import response_cache
from tests.people import CatalogueFactory
from tracks.card_cache import track_card_cache

# The duration of an example depends on what else the machine does.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Run slow modules first, so that the xdist workers finish at about the same time."""

    def is_slow(item: pytest.Function) -> bool:
        uses_installation = hasattr(item.module, "new_stack") or "admin_stack" in item.fixturenames
        return uses_installation or item.get_closest_marker("slow") is not None

    slow_modules = {item.module for item in items if is_slow(item)}
    items.sort(key=lambda item: item.module not in slow_modules)


@pytest.fixture(autouse=True)
def _isolate_tests(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """Give every test with a database its own model folder and empty caches."""
    if "db" not in request.fixturenames and "transactional_db" not in request.fixturenames:
        yield
        return
    settings = request.getfixturevalue("settings")
    quick = {"FAMILY": "ials", "FACTORS": 2, "TRAINING_THREADS": 1}
    settings.MUSICREC = settings.MUSICREC | quick | {"MODEL_DIR": tmp_path / "models"}
    settings.MUSICREC |= {"RATE_LISTENER": "", "RATE_KEY": "", "RATE_SIGN_IN": ""}  # tests of rate limits set them
    settings.MUSICREC |= {"AHEAD_LISTENERS": 0}  # tests of precomputed rankings set it
    # A prefix of its own, because Redis would otherwise return answers of earlier tests with the same ids.
    settings.CACHES = {"default": settings.CACHES["default"] | {"KEY_PREFIX": uuid.uuid4().hex}}
    settings.WHITENOISE_AUTOREFRESH = True  # otherwise each test client would index all static files
    # The default hasher takes 0.3 s per listener.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    model_cache.reset()
    unavailable_tracks.clear()
    find_genre_tracks.cache_clear()
    response_cache.clear()
    parse_policies_in_use.cache_clear()
    track_card_cache.clear()
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
def catalogue(db: None) -> CatalogueFactory:
    return CatalogueFactory()


@pytest.fixture
def as_listener() -> Callable[[User], APIClient]:
    def client(user: User) -> APIClient:
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {sign_in(user).access}")
        return api

    return client


@pytest.fixture
def service(db: None) -> APIClient:
    """Return a client with a service key that has every scope."""
    return as_service(*Scope.values)


@pytest.fixture
def as_service_with(db: None) -> Callable[..., APIClient]:
    return as_service


def as_service(*scopes: str) -> APIClient:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Api-Key {create_service_key(f'test {uuid.uuid4().hex}', scopes)}")
    return api


def assert_problem(response: Any, status: int) -> dict[str, Any]:
    """Check status and form of an error response and return its problem document."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body.keys() == {"type", "title", "status", "detail", "errors", "request_id"}
    assert body["status"] == status
    return body
