"""Recommendations through the whole WSGI stack: headers, refusals, and changes that take effect despite the cache."""

import io
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_started
from django.db import close_old_connections, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import REGISTRY

from access.models import Scope, ServiceKey, SignIn, User
from access.services import create_service_key
from access.sign_ins import sign_in
from experiments.exposures.log import slate_log
from experiments.models import Slate
from recommendations.training.run import run_training
from tests.people import CatalogueFactory
from tracks.models import Track

PER_REQUEST_HEADERS = ("X-Request-ID", "Server-Timing", "Allow")
Answer = tuple[str, dict[str, str], bytes]


class Server:
    """Sends requests to Django's WSGI handler, as a web server does."""

    def __init__(self) -> None:
        self._application = WSGIHandler()

    def get(self, path: str, authorization: str = "", **environ: Any) -> Answer:
        answer: dict[str, Any] = {}
        path, _, query = path.partition("?")
        request = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "HTTP_HOST": "localhost",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http",
        }
        request |= {"HTTP_AUTHORIZATION": authorization} if authorization else {}

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> None:
            answer.update(status=status, headers=dict(headers))

        body = b"".join(self._application(request | environ, start))
        return answer["status"], answer["headers"], body


@pytest.fixture
def server() -> Iterator[Server]:
    request_started.disconnect(close_old_connections)  # as Django's own test client does: a test is one transaction
    yield Server()
    request_started.connect(close_old_connections)


@pytest.fixture
def ada(catalogue: CatalogueFactory) -> User:
    catalogue.checkerboard()
    assert run_training("test").status == "Published"
    return User.objects.get(username="listener-0")


@pytest.fixture
def key(db: None) -> str:
    return "Api-Key " + create_service_key("back end", [Scope.RECOMMEND])


def bearer(user: User) -> str:
    return f"Bearer {sign_in(user).access}"


def without_request_headers(answer: Answer) -> Any:
    """Leave out the headers that differ with each request."""
    status, headers, body = answer
    return status, {n: v for n, v in headers.items() if n not in PER_REQUEST_HEADERS}, body


@pytest.mark.parametrize(
    "path",
    [
        "/recommend/user/{user}/ml",
        "/recommend/user/{user}/ml?limit=3&explain=true&placement=home",
        "/recommend/user/{user}?market=DE",
        "/recommend/user/999999/ml",
        "/recommend/similar/{track}",
        "/recommend/similar/{track}?user_id={user}&limit=5",
    ],
)
def test_a_cached_answer_equals_the_computed_one(path: str, server: Server, ada: User, key: str) -> None:
    path = path.format(user=ada.pk, track=Track.objects.latest("pk").pk)
    computed, cached = server.get(path, key), server.get(path, key)
    assert without_request_headers(computed) == without_request_headers(cached)
    assert computed[1].keys() == cached[1].keys()
    again = server.get(path, key, HTTP_IF_NONE_MATCH=computed[1]["ETag"])
    assert (again[0], again[2]) == ("304 Not Modified", b"")


def test_me_and_the_own_id_get_the_same_answer(server: Server, ada: User) -> None:
    mine = [server.get(f"/recommend/user/{name}/ml", bearer(ada)) for name in ("me", ada.pk)]
    assert mine[0][2] == mine[1][2]


def test_a_cached_answer_needs_one_query(server: Server, ada: User, key: str) -> None:
    path = f"/recommend/user/{ada.pk}/ml"
    server.get(path, key)
    with CaptureQueriesContext(connection) as queries:
        server.get(path, key)
    assert len(queries) == 1


def test_the_request_id_is_echoed_and_the_request_is_counted(server: Server, ada: User, key: str) -> None:
    name = "musicrec_request_seconds_count"
    labels = {"endpoint": "recommend", "strategy": "personal", "status": "200"}
    before = REGISTRY.get_sample_value(name, labels) or 0
    _, headers, _ = server.get(f"/recommend/user/{ada.pk}/ml", key, HTTP_X_REQUEST_ID="from-the-app")
    assert headers["X-Request-ID"] == "from-the-app"
    assert headers["Server-Timing"].startswith("total;dur=")
    assert REGISTRY.get_sample_value(name, labels) == before + 1
    _, headers, _ = server.get(f"/recommend/user/{ada.pk}/ml", key, HTTP_X_REQUEST_ID="no\nheader")
    assert "\n" not in headers["X-Request-ID"]


def test_the_slate_is_logged(server: Server, ada: User) -> None:
    server.get("/recommend/user/me/ml?placement=home", bearer(ada))
    slate_log.flush()
    assert Slate.objects.get().placement == "home"


def test_the_use_of_a_key_is_recorded(server: Server, ada: User, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("access.services._last_recorded", {})
    server.get(f"/recommend/user/{ada.pk}/ml", key)
    assert ServiceKey.objects.get().last_used_at is not None


REFUSED_REQUESTS: dict[str, tuple[Callable[[User, str], tuple[str, str, dict[str, Any]]], str]] = {
    "no credentials": (lambda u, k: (f"/recommend/user/{u.pk}/ml", "", {}), "401"),
    "an unknown key": (lambda u, k: (f"/recommend/user/{u.pk}/ml", k + "x", {}), "401"),
    "another scheme": (lambda u, k: (f"/recommend/user/{u.pk}/ml", "Basic eDp5", {}), "401"),
    "a broken token": (lambda u, k: ("/recommend/user/me/ml", "Bearer a.b.c", {}), "401"),
    "a token that is not ASCII": (lambda u, k: ("/recommend/user/me/ml", "Bearer \xff\xfe", {}), "401"),
    "another listener": (lambda u, k: (f"/recommend/user/{u.pk + 1}/ml", bearer(u), {}), "404"),
    "me with a key": (lambda u, k: ("/recommend/user/me/ml", k, {}), "400"),
    "an invalid limit": (lambda u, k: (f"/recommend/user/{u.pk}/ml?limit=0", k, {}), "400"),
    "an invalid market": (lambda u, k: (f"/recommend/user/{u.pk}/ml?market=Germany", k, {}), "400"),
    "an unknown track": (lambda u, k: ("/recommend/similar/99999999", k, {}), "404"),
    "a host that is not allowed": (
        lambda u, k: (f"/recommend/user/{u.pk}/ml", k, {"HTTP_HOST": "evil.example"}),
        "400",
    ),
    "no host": (lambda u, k: (f"/recommend/user/{u.pk}/ml", k, {"HTTP_HOST": ""}), "400"),
    "an unknown path": (lambda u, k: (f"/recommend/user/{u.pk}/mlx", k, {}), "404"),
    "a trailing slash": (lambda u, k: (f"/recommend/user/{u.pk}/ml/", k, {}), "404"),
    "an unsupported method": (lambda u, k: (f"/recommend/user/{u.pk}/ml", k, {"REQUEST_METHOD": "DELETE"}), "405"),
}


@pytest.mark.parametrize("case", REFUSED_REQUESTS)
def test_an_invalid_request_is_refused(case: str, server: Server, ada: User, key: str) -> None:
    make, status = REFUSED_REQUESTS[case]
    path, authorization, environ = make(ada, key)
    answer = server.get(path, authorization, **environ)
    assert answer[0].startswith(status), answer


class TestAfterACachedAnswer:
    """A change takes effect at once, even if the caller has just received a cached answer."""

    def status_after(self, server: Server, path: str, authorization: str, change: Callable[[], object]) -> str:
        assert server.get(path, authorization)[0] == "200 OK"
        assert server.get(path, authorization)[0] == "200 OK"
        change()
        answer = server.get(path, authorization)
        return answer[0][:3]

    def test_a_revoked_key_is_refused(self, server: Server, ada: User, key: str) -> None:
        keys = ServiceKey.objects.all()
        path = f"/recommend/user/{ada.pk}/ml"
        assert self.status_after(server, path, key, lambda: keys.update(revoked_at=timezone.now())) == "401"

    def test_an_expired_key_is_refused(self, server: Server, ada: User, key: str) -> None:
        path, past = f"/recommend/user/{ada.pk}/ml", timezone.now() - timedelta(seconds=1)
        assert self.status_after(server, path, key, lambda: ServiceKey.objects.update(expires_at=past)) == "401"

    def test_a_key_that_lost_its_scope_is_refused(self, server: Server, ada: User, key: str) -> None:
        path = f"/recommend/user/{ada.pk}/ml"
        assert self.status_after(server, path, key, lambda: ServiceKey.objects.update(scopes=["events"])) == "403"

    def test_a_token_of_an_ended_sign_in_is_refused(self, server: Server, ada: User) -> None:
        assert self.status_after(server, "/recommend/user/me/ml", bearer(ada), SignIn.objects.all().delete) == "401"

    def test_a_closed_account_is_refused(self, server: Server, ada: User) -> None:
        closed = User.objects.filter(pk=ada.pk)
        mine = bearer(ada)
        assert self.status_after(server, "/recommend/user/me/ml", mine, lambda: closed.update(is_active=False)) == "401"

    def test_an_expired_token_is_refused(self, server: Server, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
        import time

        later = time.time() + 3601
        mine = bearer(ada)
        assert (
            self.status_after(
                server,
                "/recommend/user/me/ml",
                mine,
                lambda: monkeypatch.setattr("access.authentication.time.time", lambda: later),
            )
            == "401"
        )

    def test_requests_beyond_the_rate_limit_are_refused(self, server: Server, ada: User, settings: Any) -> None:
        settings.MUSICREC = settings.MUSICREC | {"RATE_LISTENER": "2/min"}
        assert self.status_after(server, "/recommend/user/me/ml", bearer(ada), lambda: None) == "429"


def test_plain_http_is_redirected_if_https_is_required(server: Server, ada: User, key: str, settings: Any) -> None:
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    server = Server()
    path = f"/recommend/user/{ada.pk}/ml"
    assert server.get(path, key)[0].startswith("301")
    assert server.get(path, key, HTTP_X_FORWARDED_PROTO="https")[0] == "200 OK"


def test_a_request_from_another_origin_is_answered(server: Server, ada: User, key: str) -> None:
    assert server.get(f"/recommend/user/{ada.pk}/ml", key, HTTP_ORIGIN="https://app.example")[0] == "200 OK"
