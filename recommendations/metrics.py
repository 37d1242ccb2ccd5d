"""What the room counts, and for how long things took. docs/reference/metrics.md describes each."""

from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram

Spans = dict[str, float | str]
_MOMENTS = (0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
_LOADS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

model_loads = Counter("musicrec_model_loads", "Versions taken into service by this process.")
model_load_failures = Counter("musicrec_model_load_failures", "Versions that could not be loaded.")
alarms = Counter("musicrec_alarms", "Alarms raised.", ["kind"])
# Not exposed: whoever trains has no port to be asked at, and /metrics reads both from their tables.
answers = Counter(
    "musicrec_answers", "Slates answered, by the first source that contributed.", ["strategy", "degraded"]
)
response_cache = Counter(
    "musicrec_results_cache",
    "Answers by where they came from: hit, miss, or wait for another who computed.",
    ["outcome"],
)
response_cache_bytes = Counter("musicrec_results_cache_bytes", "Bytes of answers put into the results cache.")
precomputed_rankings = Counter("musicrec_rankings_ahead", "Rankings computed before anybody asked.")
fold_in_seconds = Histogram(
    "musicrec_fold_in_seconds", "Placing a listener among the tracks, from what they played.", buckets=_MOMENTS
)
top_k_seconds = Histogram("musicrec_top_k_seconds", "Ranking the tracks of one answer.", buckets=_MOMENTS)
model_load_seconds = Histogram("musicrec_model_load_seconds", "Opening and checking one version.", buckets=_LOADS)
_serving = Gauge(
    "musicrec_model_processes",
    "Live processes that serve a version.",
    ["version"],
    multiprocess_mode="livesum",
)
_served: list[str] = []


class Timer:  # reads as a verb: with timed(...)
    """Observes the seconds inside, also where they end in an error; under `name` they are added to a request's spans.

    Costs 2 µs, with files shared by processes 4: for what takes 50 or more.
    """

    __slots__ = ("_began", "_histogram", "_name", "_spans")

    def __init__(self, histogram: Histogram, spans: Spans | None = None, name: str = "") -> None:
        self._histogram, self._spans, self._name = histogram, spans, name

    def __enter__(self) -> None:
        self._began = perf_counter()

    def __exit__(self, *error: object) -> None:
        seconds = perf_counter() - self._began
        self._histogram.observe(seconds)
        if self._spans is not None:
            self._spans[self._name] = float(self._spans.get(self._name, 0.0)) + seconds


def engine_timer(name: str) -> Timer:
    """Of the engine."""
    return Timer({"fold_in": fold_in_seconds}[name])


def set_served_version(version: str | None) -> None:
    """From now on this process serves `version`, and none of those before."""
    for earlier in _served:
        _serving.labels(earlier).set(0)
    _served[:] = [version] if version else []
    if version:
        _serving.labels(version).set(1)
