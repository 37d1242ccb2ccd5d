"""Numbers that are looked up whenever Prometheus asks: two queries, a look into the folder of models, one round trip
to the broker."""

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
from common.redis_client import connection_options
from engine.bundle.files import MODEL_FILE
from engine.bundle.versions import LOAD_ERRORS
from interactions.models import HistoryImport
from recommendations.models import Alarm, TrainingRun, TuningStudy
from recommendations.version_store import version_store

logger = logging.getLogger(__name__)
QUEUES = ("celery", "training")
BROKER_SECONDS = 0.1  # to connect, and again to answer
Rows = dict[str, dict[str, tuple[int, datetime | None]]]
"""By kind and by what distinguishes them: how many, and when the newest."""
Values = Mapping[Any, float]  # by a tuple of the values of its labels; mypy takes no tuple for a shorter one
RUNS, STUDIES = TrainingRun.Status, TuningStudy.Status
SUCCEEDED = (RUNS.PUBLISHED, RUNS.UNCHANGED)


@dataclass
class PartMetrics:
    answered: bool = True
    metrics: list[Metric] = field(default_factory=list)


def collect_from_database() -> PartMetrics:
    """What background work left in the database."""
    try:
        return PartMetrics(metrics=[*_of_rows(_counts()), *_of_newest_run()])
    except Error as error:
        logger.warning("metrics without what the database knows: %s", error)
        return PartMetrics(answered=False)


def collect_from_model_folder() -> PartMetrics:
    """The version pointed to, as the disk has it."""
    try:
        pointer = version_store().pointer()
        if pointer is None:
            return PartMetrics()
        folder = version_store().folder(pointer.version)
        trained, size = (folder / MODEL_FILE).stat().st_mtime, version_store().size(pointer.version)
    except LOAD_ERRORS as error:
        logger.warning("metrics without the model: %s", error)
        return PartMetrics(answered=False)
    return PartMetrics(
        metrics=[
            _gauge("musicrec_model_info", "The version in service: 1.", {(pointer.version,): 1}, ["version"]),
            _gauge("musicrec_model_trained_timestamp_seconds", "When its files were written.", {(): trained}),
            _gauge("musicrec_model_age_seconds", "Since then.", {(): max(0.0, time.time() - trained)}),
            _gauge("musicrec_model_size_bytes", "Its files on disk.", {(): size}),
        ]
    )


def collect_from_broker() -> PartMetrics | None:
    """Tasks that wait for a worker. None where there is no broker, or one that is no Redis."""
    client = _broker(settings.CELERY_BROKER_URL)
    if client is None:
        return None
    try:
        with client.pipeline(transaction=False) as pipe:
            for queue in QUEUES:
                pipe.llen(queue)
            lengths = pipe.execute()
    except (RedisError, OSError) as error:
        logger.warning("metrics without the queues: %s", error)
        return PartMetrics(answered=False)
    waiting = {(queue,): float(length) for queue, length in zip(QUEUES, lengths, strict=True)}
    return PartMetrics(metrics=[_gauge("musicrec_queue_tasks", "Tasks that wait for a worker.", waiting, ["queue"])])


@lru_cache(maxsize=1)
def _broker(url: str) -> "Redis | None":
    url = url.replace("redis+socket://", "unix://", 1)
    if not url.startswith(("redis://", "rediss://", "unix://")):
        return None
    return Redis.from_url(url, **connection_options(BROKER_SECONDS))


def _counts() -> Rows:
    """One query: how many there are of each kind that waits, runs or has ended."""
    parts = [
        _by("run", TrainingRun.objects, "finished_at", F("status")),
        _by("study", TuningStudy.objects, "finished_at", F("status")),
        _by("import", HistoryImport.objects, "finished_at", F("status")),
        _by("alarm", Alarm.objects, "last_at", F("kind"), counted=Q(resolved_at=None)),
        _by("erasure", Erasure.objects, "requested_at", Value(""), counted=Q(completed_at=None)),
    ]
    rows: Rows = {}
    for kind, label, count, newest in parts[0].union(*parts[1:], all=True):
        rows.setdefault(kind, {})[label] = count, newest
    return rows


def _by(kind: str, rows: Any, when: str, label: F | Value, counted: Q | None = None) -> QuerySet[Any, Any]:
    """(kind, label, how many, the newest `when`) of each label."""
    named = rows.order_by().values(what=Value(kind, CharField()), label=Cast(label, CharField()))
    counts = named.annotate(count=Count("pk", filter=counted), newest=Max(when))
    return counts.values_list("what", "label", "count", "newest")  # type: ignore[no-any-return]


def _of_rows(rows: Rows) -> Iterator[Metric]:
    runs, imports = rows.get("run", {}), rows.get("import", {})
    yield _by_label("musicrec_training_runs", "Training runs in the table.", "status", RUNS.values, runs)
    yield _by_label("musicrec_tuning_studies", "Tuning studies.", "status", STUDIES.values, rows.get("study", {}))
    yield _by_label("musicrec_imports", "Uploaded histories.", "status", HistoryImport.Status.values, imports)
    yield _by_label("musicrec_alarms_open", "Alarms not resolved.", "kind", [], rows.get("alarm", {}))
    waiting = sum(count for count, _ in rows.get("erasure", {}).values())
    yield _gauge("musicrec_erasures_waiting", "Listeners who wait to be forgotten.", {(): waiting})
    ended = {(status,): at.timestamp() for status, (_, at) in runs.items() if at}
    name, text = "musicrec_training_last_timestamp_seconds", "When the last run that ended so ended."
    yield _gauge(name, text, ended, ["status"])
    if good := [at for (status,), at in ended.items() if status in SUCCEEDED]:
        name, text = "musicrec_training_last_success_timestamp_seconds", "When the last run ended well."
        yield _gauge(name, text, {(): max(good)})


def _of_newest_run() -> Iterator[Metric]:
    """One query: the newest run that trained."""
    trained = TrainingRun.objects.filter(status__in=[RUNS.PUBLISHED, RUNS.HELD_BACK]).order_by("-pk")
    for seconds, memory in trained.values_list("seconds", "peak_memory_bytes")[:1]:
        stages = {(stage,): float(spent) for stage, spent in seconds.items()}
        yield _gauge("musicrec_training_stage_seconds", "Of the newest run that trained.", stages, ["stage"])
        yield _gauge("musicrec_training_memory_bytes", "Of the same run, at its peak.", {(): memory or 0})


def _by_label(
    name: str, text: str, label: str, known: list[str], rows: dict[str, tuple[int, datetime | None]]
) -> Metric:
    """Those that are known have a 0 where there is none: a series that is missing cannot be compared."""
    counts = dict.fromkeys(known, 0) | {value: count for value, (count, _) in rows.items()}
    return _gauge(name, text, {(value,): count for value, count in counts.items()}, [label])


def _gauge(name: str, text: str, values: Values, labels: list[str] | None = None) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=labels or [])
    for of, value in values.items():
        gauge.add_metric(of, value)
    return gauge
