"""What `/metrics` says: what web processes have counted, and what is looked up when it is asked.

Workers have no port to be asked at. What they do stands in tables, which any web process reads: that is right however
many of them there are, and on which hosts.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, multiprocess
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from musicrec.metrics.collectors import collect_from_broker, collect_from_database, collect_from_model_folder

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class InstallationCollector(Collector):
    """Never fails, nor waits long: what is away is said to be away, and its numbers are missing."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("musicrec_up", "Whether a part answered when this was asked: 1 or 0.", labels=["part"])
        for part, look in (
            ("database", collect_from_database),
            ("models", collect_from_model_folder),
            ("broker", collect_from_broker),
        ):
            found = look()
            if found is None:  # there is no such part
                continue
            up.add_metric([part], float(found.answered))
            yield from found.metrics
        yield up


def render_metrics() -> bytes:
    """In Prometheus' text format."""
    looked_up = CollectorRegistry()
    looked_up.register(InstallationCollector())
    return generate_latest(_counted()) + generate_latest(looked_up)


def _counted() -> CollectorRegistry:
    folder = os.environ.get(FOLDER)
    if not folder:
        return REGISTRY
    remove_gauges_of_dead_processes(Path(folder))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def remove_gauges_of_dead_processes(folder: Path) -> None:
    """Gauges of processes that have ended; granian has no hook for it. What they counted stays: totals never fall."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        if not _is_alive(pid):
            _forget(folder, pid)


def _forget(folder: Path, pid: int) -> None:
    with suppress(FileNotFoundError):  # another process was asked at the same time, and was first
        multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True
