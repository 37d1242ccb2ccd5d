import errno
import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from access.models import User
from common.http.json import OrjsonRenderer
from recommendations.serving import recommend
from tests.conftest import assert_problem


def test_an_unavailable_database_is_a_503_with_retry_after(service: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_to_connect(*args: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(recommend, "build_slate", fail_to_connect)
    response = service.get("/recommend/user/1/ml")
    assert_problem(response, 503)
    assert response["Retry-After"] == "5"


def test_an_unexpected_error_is_a_500_without_details(service: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(recommend, "build_slate", fail)
    service.raise_request_exception = False
    assert "secret" not in str(assert_problem(service.get("/recommend/user/1/ml"), 500))


@pytest.mark.parametrize("path", ["/nope", "/recommend", "/tracks/", "/admin/nope/nope"])
def test_an_unknown_path_is_a_404(service: APIClient, path: str) -> None:
    response = service.get(path, follow=True)
    assert response.status_code in (200, 404)
    if not path.startswith("/admin"):
        assert_problem(response, 404)


def test_a_wrong_method_is_a_405(service: APIClient) -> None:
    assert_problem(service.post("/tracks/1"), 405)
    problem = assert_problem(service.get("/events"), 405)
    assert problem["detail"] == "GET is not allowed here; this path accepts POST, OPTIONS"


@pytest.mark.usefixtures("db")
def test_a_host_that_is_not_allowed_is_a_400() -> None:
    assert_problem(APIClient().get("/schema", HTTP_HOST="evil.example"), 400)


def test_none_is_rendered_as_an_empty_body() -> None:
    assert OrjsonRenderer().render(None) == b""


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_that_is_too_long_is_a_413(kind: str) -> None:
    problem = assert_problem(APIClient().post("/token", b"x" * 3_000_000, content_type=kind), 413)
    assert "2621440 bytes" in problem["detail"]


@pytest.mark.usefixtures("db")
def test_the_response_is_json_whatever_the_client_accepts() -> None:
    assert APIClient().get("/health/live", HTTP_ACCEPT="text/plain").json() == {"status": "ok"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_files_is_a_507_and_leaves_none(
    alice: User, as_listener: Callable[[User], APIClient], monkeypatch: pytest.MonkeyPatch, settings: Any, number: int
) -> None:
    def fail(*args: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(shutil, "copyfileobj", fail)
    response = as_listener(alice).generic(
        "POST", "/users/me/imports?format=lastfm", b"Artist,Album,Song,01 Jan 2024 10:00", content_type="text/csv"
    )
    assert_problem(response, 507)
    assert response["Retry-After"] == "300"
    assert not any((settings.VAR_DIR / "uploads").iterdir())
