"""The content of `/metrics`: what the web processes have counted, and what is collected at the time of the scrape."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from musicrec.metrics.collectors import collect_from_broker, collect_from_database, collect_from_model_folder


class InstallationCollector(Collector):
    """A collector of the metrics of the database, the model folder and the broker.

    It never fails and does not wait long: for a part that does not answer, `musicrec_up` is 0 and its other metrics are
    missing.
    """

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("musicrec_up", "Whether a part answered this scrape: 1 or 0.", labels=["part"])
        parts = {
            "database": collect_from_database,
            "models": collect_from_model_folder,
            "broker": collect_from_broker,
        }
        for part, collect_metrics in parts.items():
            collected = collect_metrics()
            if collected is None:  # this installation has no such part
                continue
            up.add_metric([part], float(collected.answered))
            yield from collected.metrics
        yield up


def render_metrics() -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(InstallationCollector())
    return generate_latest(_process_metrics()) + generate_latest(registry)


def _process_metrics() -> CollectorRegistry:
    """Return the metrics of this process, or of all web processes if they share a folder of metrics."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not folder:
        return REGISTRY
    remove_gauges_of_dead_processes(Path(folder))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def remove_gauges_of_dead_processes(folder: Path) -> None:
    """Delete the gauges of processes that have ended, as granian has no hook for that.

    Their counters stay: a total must never fall.
    """
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        if not _is_alive(pid):
            with suppress(FileNotFoundError):  # another process may be answering a scrape at the same time
                multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists and belongs to another user
        return True
    return True
