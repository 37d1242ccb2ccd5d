from typing import Any

import pytest
from django.db import OperationalError
from rest_framework.test import APIClient

from common.http.json import OrjsonRenderer
from recommendations.serving import recommender
from tests.conftest import assert_problem


def test_a_database_that_is_away_is_a_503_that_says_when_to_come_back(
    service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(recommender, "page", away)
    response = service.get("/recommend/user/1/ml")
    assert_problem(response, 503)
    assert response["Retry-After"] == "5"


def test_a_fault_of_ours_is_a_500_without_a_word_about_the_inside(
    service: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(recommender, "page", broken)
    service.raise_request_exception = False
    assert "secret" not in str(assert_problem(service.get("/recommend/user/1/ml"), 500))


@pytest.mark.parametrize("path", ["/nope", "/recommend", "/tracks/", "/admin/nope/nope"])
def test_an_address_that_is_none_is_a_404(service: APIClient, path: str) -> None:
    response = service.get(path, follow=True)
    assert response.status_code in (200, 404)
    if not path.startswith("/admin"):
        assert_problem(response, 404)


def test_a_wrong_method_is_a_405(service: APIClient) -> None:
    assert_problem(service.post("/tracks/1"), 405)
    assert_problem(service.get("/events"), 405)


@pytest.mark.usefixtures("db")
def test_a_host_that_is_not_allowed_is_a_400() -> None:
    assert_problem(APIClient().get("/schema", HTTP_HOST="evil.example"), 400)


def test_nothing_is_rendered_as_nothing() -> None:
    assert OrjsonRenderer().render(None) == b""


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_body_too_long_is_refused_unread(kind: str) -> None:
    problem = assert_problem(APIClient().post("/token", b"x" * 3_000_000, content_type=kind), 413)
    assert "2621440 bytes" in problem["detail"]


@pytest.mark.usefixtures("db")
def test_whatever_is_accepted_the_answer_is_json() -> None:
    assert APIClient().get("/health/live", HTTP_ACCEPT="text/plain").json() == {"status": "ok"}
