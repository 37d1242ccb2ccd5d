"""Prometheus metrics of serving and training. docs/reference/metrics.md describes each."""

from prometheus_client import Counter, Gauge, Histogram

_REQUEST_BUCKETS = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_LOAD_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

model_loads = Counter("musicrec_model_loads", "Versions taken into service by this process.")
model_load_failures = Counter("musicrec_model_load_failures", "Versions that could not be loaded.")
# A process that trains has no port to be scraped at: its alarms show in musicrec_alarms_open, counted from the table.
alarms = Counter("musicrec_alarms", "Alarms raised.", ["kind"])
answers = Counter("musicrec_answers", "Slates returned, by strategy and whether degraded.", ["strategy", "degraded"])
response_cache = Counter(
    "musicrec_results_cache",
    "Responses by their origin: cache hit, cache miss, or wait for another process that computed it.",
    ["outcome"],
)
response_cache_bytes = Counter("musicrec_results_cache_bytes", "Bytes of responses put into the cache.")
precomputed_rankings = Counter("musicrec_rankings_ahead", "Rankings computed ahead of a request.")
fold_in_seconds = Histogram(
    "musicrec_fold_in_seconds", "Computing a listener's factors from their plays.", buckets=_REQUEST_BUCKETS
)
top_k_seconds = Histogram("musicrec_top_k_seconds", "Ranking the tracks of one slate.", buckets=_REQUEST_BUCKETS)
model_load_seconds = Histogram("musicrec_model_load_seconds", "Opening and verifying a version.", buckets=_LOAD_BUCKETS)
fresh_tracks = Gauge(
    "musicrec_fresh_tracks",
    "Tracks that came after the training of the version in service, and that it was extended by.",
    multiprocess_mode="livemax",
)
_model_processes = Gauge(
    "musicrec_model_processes",
    "Live processes that serve a version.",
    ["version"],
    multiprocess_mode="livesum",
)
_served_versions: list[str] = []


def set_served_version(version: str | None) -> None:
    """Report that this process now serves `version`, and no other."""
    for earlier in _served_versions:
        _model_processes.labels(earlier).set(0)
    _served_versions[:] = [version] if version else []
    if version:
        _model_processes.labels(version).set(1)
