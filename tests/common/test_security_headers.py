"""What browsers and caches are told, and what web apps elsewhere may do."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from access.models import User

APP = "https://app.example"
EVERY = ["/", "/schema/docs", "/schema", "/health/live", "/tracks/1", "/nope", "/admin/login/", "/static/web/app.js"]


@pytest.mark.parametrize("path", EVERY)
@pytest.mark.usefixtures("db")
def test_every_answer_says_what_it_may_do(path: str) -> None:
    response = APIClient().get(path)
    said = response.headers
    assert said["X-Content-Type-Options"] == "nosniff"
    assert said["X-Frame-Options"] == "DENY"
    assert said["Referrer-Policy"] == said["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in said["Permissions-Policy"]
    policy = said["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert ("unsafe-eval" in policy) == path.startswith("/admin/")
    assert "script-src 'self' 'unsafe-inline'" not in policy or path.startswith("/admin/")


def test_a_page_that_has_a_policy_of_its_own_keeps_it(db: None) -> None:
    assert "media-src https: http:" in APIClient().get("/")["Content-Security-Policy"]
    assert APIClient().get("/health/live")["Content-Security-Policy"].startswith("default-src 'none'")


def test_an_answer_that_has_not_changed_keeps_the_policy_it_came_with(db: None) -> None:
    first = APIClient().get("/")
    again = APIClient().get("/", HTTP_IF_NONE_MATCH=first["ETag"])
    assert again.status_code == 304
    assert "Content-Security-Policy" not in again


def test_no_shared_cache_keeps_an_answer(alice: User, as_listener: Callable[[User], APIClient]) -> None:
    api = as_listener(alice)
    kept = {
        path: api.get(path)["Cache-Control"] for path in ("/recommend/user/me", "/schema", "/tracks/9", "/health/live")
    }
    assert kept["/recommend/user/me"] == kept["/schema"] == "private, no-cache"
    assert kept["/tracks/9"] == "no-store"
    signed_in = APIClient().post("/token", {"username": "alice", "password": "wonderland-7"}, format="json")
    assert signed_in["Cache-Control"] == "no-store"
    assert "Authorization" in signed_in["Vary"]
    assert "max-age" in Client().get("/static/web/app.js")["Cache-Control"]


@pytest.fixture
def with_app(settings: Any, db: None) -> APIClient:
    settings.CORS_ALLOWED_ORIGINS = [APP]
    return APIClient(HTTP_ORIGIN=APP)


def test_a_web_app_that_is_named_may_call_the_api(with_app: APIClient) -> None:
    asked = with_app.options(
        "/events",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
        HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-encoding",
    )
    assert (asked.status_code, asked["Access-Control-Allow-Origin"]) == (200, APP)
    assert {"authorization", "content-encoding"} <= set(asked["Access-Control-Allow-Headers"].split(", "))
    refused = with_app.get("/tracks/1")
    assert (refused.status_code, refused["Access-Control-Allow-Origin"]) == (401, APP)
    assert "Retry-After" in refused["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in refused


def test_no_other_web_app_may_and_none_the_admin(with_app: APIClient) -> None:
    assert "Access-Control-Allow-Origin" not in with_app.get("/admin/login/")
    for origin in ("https://evil.example", "http://app.example", f"{APP}.evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in APIClient(HTTP_ORIGIN=origin).get("/tracks/1")
