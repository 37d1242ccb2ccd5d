"""How requests are counted, and what the caller is told of their time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from prometheus_client import REGISTRY
from rest_framework.test import APIClient

from access.models import User
from common.http.request_metrics import RequestMetricsMiddleware, format_server_timing
from musicrec.health import LiveView
from recommendations import metrics
from tests.people import CatalogueFactory


def timed_view(request: Any, number: int) -> HttpResponse:
    request.strategy, request.spans = "personal", {"cache": "miss", "model": 0.0003, "db": 0.0011}
    return HttpResponse("[]")


def broken_view(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("as it happens")


urlpatterns = [
    path("health/live", LiveView.as_view(), name="live"),
    path("timed/<int:number>", timed_view, name="timed"),
    path("broken", broken_view, name="broken"),
]
own_urls = override_settings(ROOT_URLCONF=__name__)


@contextmanager
def one_more(endpoint: str, status: int, strategy: str = "") -> Iterator[None]:
    """Inside, one such request is counted."""
    labels = {"endpoint": endpoint, "status": str(status), "strategy": strategy}

    def count() -> float:
        return REGISTRY.get_sample_value("musicrec_request_seconds_count", labels) or 0

    before = count()
    yield
    assert count() == before + 1


@own_urls
def test_a_request_is_counted_by_the_name_of_its_url_and_its_strategy() -> None:
    with one_more("timed", 200, "personal"):
        Client().get("/timed/7")
    with one_more("timed", 200, "personal"):
        Client().get("/timed/8")
    with one_more("live", 200):
        Client().get("/health/live")


def test_a_view_hands_over_the_strategy_of_its_answer(
    alice: User, catalogue: CatalogueFactory, as_listener: Callable[[User], APIClient]
) -> None:
    track, api = catalogue.tracks(3)[0], as_listener(alice)
    with one_more("similar", 200, "content"):  # they share their artist
        assert api.get(f"/recommend/similar/{track.pk}").json()["strategy"] == "content"
    with one_more("similar", 404):
        api.get("/recommend/similar/77777777")


@own_urls
def test_errors_are_counted_wherever_they_were_made() -> None:
    with one_more("broken", 500):
        Client(raise_request_exception=False).get("/broken")
    with one_more("unknown", 404):
        Client().get("/no/such/path")
    with one_more("static", 404):
        Client().get("/static/no-such-file.css")
    with one_more("live", 413):  # by a middleware, before anybody looked for a view
        Client().post("/health/live", b"x" * 3_000_000, content_type="application/json")
    with one_more("live", 400):
        Client().get("/health/live", HTTP_HOST="elsewhere.example")


def test_what_gets_out_of_everything_is_counted_too() -> None:
    def answer(request: HttpRequest) -> HttpResponse:
        raise SystemExit

    with one_more("live", 500), pytest.raises(SystemExit):
        RequestMetricsMiddleware(answer)(RequestFactory().get("/health/live"))


@own_urls
def test_the_caller_is_told_where_the_time_went() -> None:
    said = Client().get("/timed/7")["Server-Timing"].split(", ")
    assert said[0].startswith("total;dur=")
    assert said[1:] == ['cache;desc="miss"', "model;dur=0.30", "db;dur=1.10"]
    assert "Server-Timing" not in Client().get("/health/live").headers


def test_server_timing() -> None:
    assert format_server_timing(0.0019, {}) == "total;dur=1.90"


def test_counting_a_request_takes_microseconds() -> None:
    """15 are meant; what the machine does meanwhile is allowed for. The best of several rounds is the cost."""
    request, response = RequestFactory().get("/health/live"), HttpResponse()
    request.resolver_match = type("Match", (), {"view_name": "live"})()
    handle = RequestMetricsMiddleware(lambda request: response)
    rounds = []
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(100):
            handle(request)
        rounds.append((time.perf_counter() - began) / 100)
    assert min(rounds) < 15e-6


def test_timed_observes_and_adds_up_in_spans() -> None:
    spans: metrics.Spans = {}
    before = REGISTRY.get_sample_value("musicrec_fold_in_seconds_count") or 0
    for _ in range(2):
        with metrics.Timer(metrics.fold_in_seconds, spans, "model"):
            time.sleep(0.001)
    with pytest.raises(ZeroDivisionError), metrics.Timer(metrics.fold_in_seconds):
        raise ZeroDivisionError
    assert REGISTRY.get_sample_value("musicrec_fold_in_seconds_count") == before + 3
    assert float(spans["model"]) >= 0.002
