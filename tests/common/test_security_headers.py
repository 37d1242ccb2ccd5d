"""Security headers, cache headers, and CORS."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from access.models import User

APP = "https://app.example"
PATHS = ["/", "/schema/docs", "/schema", "/health/live", "/tracks/1", "/nope", "/admin/login/", "/static/web/app.js"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.usefixtures("db")
def test_every_answer_has_security_headers_and_a_content_security_policy(path: str) -> None:
    response = APIClient().get(path)
    headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    policy = headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert ("unsafe-eval" in policy) == path.startswith("/admin/")
    assert "script-src 'self' 'unsafe-inline'" not in policy or path.startswith("/admin/")


def test_a_page_keeps_the_policy_that_it_sets_itself(db: None) -> None:
    assert "media-src https: http:" in APIClient().get("/")["Content-Security-Policy"]
    assert APIClient().get("/health/live")["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_304_has_no_policy_so_that_the_cached_page_keeps_its_own(db: None) -> None:
    first = APIClient().get("/")
    again = APIClient().get("/", HTTP_IF_NONE_MATCH=first["ETag"])
    assert again.status_code == 304
    assert "Content-Security-Policy" not in again


def test_answers_must_not_be_stored_by_shared_caches(alice: User, as_listener: Callable[[User], APIClient]) -> None:
    api = as_listener(alice)
    cache_control = {
        path: api.get(path)["Cache-Control"] for path in ("/recommend/user/me", "/schema", "/tracks/9", "/health/live")
    }
    assert cache_control["/recommend/user/me"] == cache_control["/schema"] == "private, no-cache"
    assert cache_control["/tracks/9"] == "no-store"
    response = APIClient().post("/token", {"username": "alice", "password": "wonderland-7"}, format="json")
    assert response["Cache-Control"] == "no-store"
    assert "Authorization" in response["Vary"]
    assert "max-age" in Client().get("/static/web/app.js")["Cache-Control"]


@pytest.fixture
def app_client(settings: Any, db: None) -> APIClient:
    settings.CORS_ALLOWED_ORIGINS = [APP]
    return APIClient(HTTP_ORIGIN=APP)


def test_a_web_app_of_an_allowed_origin_may_call_the_api(app_client: APIClient) -> None:
    preflight = app_client.options(
        "/events",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-encoding",
    )
    assert (preflight.status_code, preflight["Access-Control-Allow-Origin"]) == (200, APP)
    assert {"authorization", "content-encoding"} <= set(preflight["Access-Control-Allow-Headers"].split(", "))
    response = app_client.get("/tracks/1")
    assert (response.status_code, response["Access-Control-Allow-Origin"]) == (401, APP)
    assert "Retry-After" in response["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in response


def test_other_origins_are_not_allowed_and_no_origin_may_call_the_admin(app_client: APIClient) -> None:
    assert "Access-Control-Allow-Origin" not in app_client.get("/admin/login/")
    for origin in ("https://evil.example", "http://app.example", f"{APP}.evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in APIClient(HTTP_ORIGIN=origin).get("/tracks/1")
