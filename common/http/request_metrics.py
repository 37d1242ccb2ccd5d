"""How long requests took, by what they asked and how they ended; told to Prometheus and to the caller.

Outside of all other middleware: what those refuse is counted too. A view says by which strategy it answered
(`request.strategy`), and where its time went (`request.spans`: seconds by name, or a word, as whether a cache had it).
"""

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from prometheus_client import Histogram

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
UNKNOWN, STATIC = "unknown", "static"
request_seconds = Histogram(
    "musicrec_request_seconds",
    "Requests answered, by the name of their URL, the strategy of the answer and its status.",
    ["endpoint", "strategy", "status"],
    buckets=BUCKETS,
)
_observe: dict[tuple[str, str, int], Callable[[float], None]] = {}


class RequestMetricsMiddleware:
    """Costs a request some microseconds: `labels()` is asked once for each combination."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began, status = perf_counter(), 500
        try:
            response = self.get_response(request)
            status = response.status_code
        finally:
            seconds = perf_counter() - began
            count_request(endpoint_name(request), getattr(request, "strategy", ""), status, seconds)
        if spans := getattr(request, "spans", None):
            response.headers["Server-Timing"] = format_server_timing(seconds, spans)
        return response


def count_request(name: str, strategy: str, status: int, seconds: float) -> None:
    key = name, strategy, status
    observe = _observe.get(key)
    if observe is None:
        observe = _observe[key] = request_seconds.labels(name, strategy, str(status)).observe
    observe(seconds)


def endpoint_name(request: Any) -> str:
    """The name of the URL, never the path itself: whoever asks for a million paths makes one series."""
    match = request.resolver_match
    if match is None:  # answered on the way in
        if request.path_info.startswith(settings.STATIC_URL):
            return STATIC
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return UNKNOWN
    return str(match.view_name)


def format_server_timing(seconds: float, spans: Mapping[str, float | str]) -> str:
    """The header of that name, in milliseconds, as W3C Server Timing has it: `total;dur=1.9, cache;desc="hit"`."""
    said = [f"total;dur={seconds * 1e3:.2f}"]
    for name, span in spans.items():
        said.append(f'{name};desc="{span}"' if isinstance(span, str) else f"{name};dur={span * 1e3:.2f}")
    return ", ".join(said)
