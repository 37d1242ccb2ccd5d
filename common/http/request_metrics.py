"""Duration of requests, as a Prometheus histogram and as a `Server-Timing` header."""

from collections.abc import Callable, Mapping
from functools import cache
from time import perf_counter

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from prometheus_client import Histogram

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
request_seconds = Histogram(
    "musicrec_request_seconds",
    "Requests answered, by the name of their URL, the strategy of the answer and its status.",
    ["endpoint", "strategy", "status"],
    buckets=BUCKETS,
)
# `labels()` takes longer than observing a value, so that its results are kept. There are few combinations.
labelled_histogram = cache(request_seconds.labels)


class RequestMetricsMiddleware:
    """Measure every request; the outermost middleware, so that refusals by the others are counted too.

    A view may set two attributes of the request: `strategy`, the strategy of the recommendations it returns, and
    `spans`, the seconds spent by part (or a word, as for whether a cache had the response).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started, status = perf_counter(), 500
        try:
            response = self.get_response(request)
            status = response.status_code
        finally:
            seconds = perf_counter() - started
            labelled_histogram(endpoint_name(request), getattr(request, "strategy", ""), status).observe(seconds)
        if spans := getattr(request, "spans", None):
            response.headers["Server-Timing"] = format_server_timing(seconds, spans)
        return response


def endpoint_name(request: HttpRequest) -> str:
    """Return the name of the request's URL pattern; never the path, of which there are unlimited many."""
    match = request.resolver_match
    if match is None:  # a middleware responded before the URL was resolved
        if request.path_info.startswith(settings.STATIC_URL):
            return "static"
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return "unknown"
    return match.view_name


def format_server_timing(seconds: float, spans: Mapping[str, float | str]) -> str:
    """Return a W3C Server-Timing header in milliseconds, such as `total;dur=1.9, cache;desc="hit"`."""
    entries = [f"total;dur={seconds * 1e3:.2f}"]
    for name, span in spans.items():
        entries.append(f'{name};desc="{span}"' if isinstance(span, str) else f"{name};dur={span * 1e3:.2f}")
    return ", ".join(entries)
