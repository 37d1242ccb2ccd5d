"""Metrics that are read from the database, the model folder and the broker whenever Prometheus scrapes.

Workers have no port to scrape. What they do is recorded in tables, which any web process can read.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import Error
from django.db.models import CharField, Count, F, Max, Q, QuerySet, Value
from django.db.models.functions import Cast
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from redis import Redis, RedisError

from access.models import Erasure
from common.redis_client import create_client
from engine.bundle.files import MODEL_FILE
from engine.bundle.versions import LOAD_ERRORS
from interactions.models import HistoryImport
from recommendations.models import Alarm, TrainingRun, TuningStudy
from recommendations.version_store import version_store
from webhooks.models import WebhookDelivery

logger = logging.getLogger(__name__)
QUEUES = ("celery", "training")
BROKER_TIMEOUT_SECONDS = 0.1  # to connect, and again to respond
GroupCounts = dict[str, tuple[int, datetime | None]]
"""Number of rows and the newest time, by status or kind."""
RunStatus = TrainingRun.Status
SUCCESSFUL = (RunStatus.PUBLISHED, RunStatus.UNCHANGED)


@dataclass
class PartMetrics:
    """The metrics of one part of the installation, and whether it could be read."""

    answered: bool = True
    metrics: list[Metric] = field(default_factory=list)


def collect_from_database() -> PartMetrics:
    """Collect what background work has recorded in its tables, by two queries."""
    try:
        return PartMetrics(metrics=[*_count_rows(), *_newest_training_run()])
    except Error as error:
        logger.warning("metrics of the database are missing: %s", error)
        return PartMetrics(answered=False)


def collect_from_model_folder() -> PartMetrics:
    """Collect age and size of the version in service."""
    try:
        pointer = version_store().pointer()
        if pointer is None:
            return PartMetrics()
        folder = version_store().folder(pointer.version)
        trained_at, size = (folder / MODEL_FILE).stat().st_mtime, version_store().size(pointer.version)
    except LOAD_ERRORS as error:
        logger.warning("metrics of the model are missing: %s", error)
        return PartMetrics(answered=False)
    age = max(0.0, time.time() - trained_at)
    return PartMetrics(
        metrics=[
            _gauge("musicrec_model_info", "The version in service: always 1.", {(pointer.version,): 1}, ["version"]),
            _gauge("musicrec_model_trained_timestamp_seconds", "When its files were written.", {(): trained_at}),
            _gauge("musicrec_model_age_seconds", "Time since its files were written.", {(): age}),
            _gauge("musicrec_model_size_bytes", "Size of its files on disk.", {(): size}),
        ]
    )


def collect_from_broker() -> PartMetrics | None:
    """Collect the lengths of the task queues; None if there is no broker, or one that is not Redis."""
    client = _broker_client(settings.CELERY_BROKER_URL)
    if client is None:
        return None
    try:
        with client.pipeline(transaction=False) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            lengths = pipe.execute()
    except (RedisError, OSError) as error:
        logger.warning("metrics of the task queues are missing: %s", error)
        return PartMetrics(answered=False)
    waiting = {(queue,): float(length) for queue, length in zip(QUEUES, lengths, strict=True)}
    return PartMetrics(metrics=[_gauge("musicrec_queue_tasks", "Tasks waiting for a worker.", waiting, ["queue"])])


@lru_cache(maxsize=1)
def _broker_client(url: str) -> "Redis | None":
    url = url.replace("redis+socket://", "unix://", 1)  # Celery's name for it
    if not url.startswith(("redis://", "rediss://", "unix://")):
        return None
    return create_client(url, BROKER_TIMEOUT_SECONDS)


def _count_rows() -> Iterator[Metric]:
    """Count runs, studies, imports, alarms, erasures and webhook deliveries by one query."""
    subqueries = [
        _grouped_counts("run", TrainingRun.objects, "finished_at", F("status")),
        _grouped_counts("study", TuningStudy.objects, "finished_at", F("status")),
        _grouped_counts("import", HistoryImport.objects, "finished_at", F("status")),
        _grouped_counts("alarm", Alarm.objects, "last_at", F("kind"), counted=Q(resolved_at=None)),
        _grouped_counts("erasure", Erasure.objects, "requested_at", Value(""), counted=Q(completed_at=None)),
        _grouped_counts("webhook", WebhookDelivery.objects, "created_at", F("status")),
    ]
    counts: dict[str, GroupCounts] = {"run": {}, "study": {}, "import": {}, "alarm": {}, "erasure": {}, "webhook": {}}
    for kind, group, count, newest in subqueries[0].union(*subqueries[1:], all=True):
        counts[kind][group] = count, newest
    runs, studies, imports = counts["run"], counts["study"], counts["import"]
    yield _counts_by("status", "musicrec_training_runs", "Training runs.", RunStatus.values, runs)
    yield _counts_by("status", "musicrec_tuning_studies", "Tuning studies.", TuningStudy.Status.values, studies)
    yield _counts_by("status", "musicrec_imports", "Uploaded histories.", HistoryImport.Status.values, imports)
    yield _counts_by("kind", "musicrec_alarms_open", "Alarms that are not resolved.", [], counts["alarm"])
    yield _counts_by(
        "status", "musicrec_webhook_deliveries", "Webhook deliveries.", WebhookDelivery.Status.values, counts["webhook"]
    )
    waiting = sum(count for count, _ in counts["erasure"].values())
    yield _gauge("musicrec_erasures_waiting", "Listeners waiting to be erased.", {(): waiting})
    finished = {(status,): at.timestamp() for status, (_, at) in runs.items() if at}
    name = "musicrec_training_last_timestamp_seconds"
    yield _gauge(name, "When the last run with this status finished.", finished, ["status"])
    if successful := [at for (status,), at in finished.items() if status in SUCCESSFUL]:
        name = "musicrec_training_last_success_timestamp_seconds"
        yield _gauge(name, "When the last successful run finished.", {(): max(successful)})


def _grouped_counts(
    kind: str, rows: Any, time_field: str, group: F | Value, counted: Q | None = None
) -> QuerySet[Any, Any]:
    """Select (kind, group, number of rows that satisfy `counted`, newest time of all rows) by group."""
    groups = rows.order_by().values(row_kind=Value(kind, CharField()), group=Cast(group, CharField()))
    counts = groups.annotate(count=Count("pk", filter=counted), newest=Max(time_field))
    return counts.values_list("row_kind", "group", "count", "newest")  # type: ignore[no-any-return]


def _newest_training_run() -> Iterator[Metric]:
    trained = TrainingRun.objects.filter(status__in=[RunStatus.PUBLISHED, RunStatus.HELD_BACK]).order_by("-pk")
    for seconds, memory in trained.values_list("seconds", "peak_memory_bytes")[:1]:
        stages = {(stage,): float(duration) for stage, duration in seconds.items()}
        name = "musicrec_training_stage_seconds"
        yield _gauge(name, "Duration by stage of the newest run that trained a version.", stages, ["stage"])
        yield _gauge("musicrec_training_memory_bytes", "Peak memory of the same run.", {(): memory or 0})


def _counts_by(label: str, name: str, help_text: str, known_values: list[str], counts: GroupCounts) -> Metric:
    """Build a gauge with a 0 for known values without rows, because a missing series cannot be compared."""
    values = dict.fromkeys(known_values, 0) | {value: count for value, (count, _) in counts.items()}
    return _gauge(name, help_text, {(value,): count for value, count in values.items()}, [label])


def _gauge(name: str, help_text: str, values: Mapping[Any, float], labels: list[str] | None = None) -> Metric:
    """Build a gauge from values by a tuple of label values."""
    gauge = GaugeMetricFamily(name, help_text, labels=labels or [])
    for label_values, value in values.items():
        gauge.add_metric(label_values, value)
    return gauge
