"""Metrics of background work, unavailable parts, and several processes."""

import os
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from access.models import Erasure, User
from interactions.models import HistoryImport
from musicrec.metrics import collectors
from musicrec.metrics.exposition import render_metrics
from musicrec.processes import ROOT
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.models import TrainingRun
from recommendations.training.run import run_training
from tests.people import CatalogueFactory
from tests.postgres import free_port
from webhooks.models import WebhookDelivery, WebhookEndpoint


def all_samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(render_metrics().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def sample(name: str, **labels: str) -> float | None:
    return all_samples().get((name, frozenset(labels.items())))


def test_training_metrics_come_from_the_table_of_runs(catalogue: CatalogueFactory) -> None:
    catalogue.checkerboard(6)
    began = time.time()
    assert run_training("test").run is not None
    run_training("test")
    samples = all_samples()

    def value(name: str, **labels: str) -> float:
        return samples[name, frozenset(labels.items())]

    assert (
        value("musicrec_training_runs", status="published") == value("musicrec_training_runs", status="unchanged") == 1
    )
    assert value("musicrec_training_runs", status="failed") == 0
    assert value("musicrec_training_last_success_timestamp_seconds") >= began
    assert value("musicrec_training_stage_seconds", stage="train") > 0
    assert value("musicrec_training_memory_bytes") > 1e6
    assert value("musicrec_model_size_bytes") > 1000
    assert 0 <= value("musicrec_model_age_seconds") < 60
    assert value("musicrec_up", part="database") == value("musicrec_up", part="models") == 1
    assert [dict(labels)["version"] for name, labels in samples if name == "musicrec_model_info"]


def test_waiting_and_failed_work_and_open_alarms_are_counted(alice: User, bob: User) -> None:
    for status in ("waiting", "failed", "failed"):
        HistoryImport.objects.create(user=alice, format="spotify", status=status)
    Erasure.objects.create(user_id=77)
    Erasure.objects.create(user_id=78, completed_at=timezone.now())
    TrainingRun.objects.create(trigger="test", status="failed", finished_at=timezone.now() - timedelta(hours=1))
    endpoint = WebhookEndpoint.objects.create(name="app", url="http://localhost/")
    WebhookDelivery.objects.create(endpoint=endpoint, event_id="msg_1", event_type="x", payload="{}", status="failed")
    raise_alarm("held_back", "v1", "worse")
    raise_alarm("prune_failed", "", "no")
    resolve_alarms("prune_failed")
    assert sample("musicrec_imports", status="waiting") == 1
    assert sample("musicrec_imports", status="failed") == 2
    assert sample("musicrec_erasures_waiting") == 1
    assert sample("musicrec_webhook_deliveries", status="failed") == 1
    assert sample("musicrec_webhook_deliveries", status="pending") == 0
    assert sample("musicrec_alarms_open", kind="held_back") == 1
    assert sample("musicrec_alarms_open", kind="prune_failed") == 0
    assert sample("musicrec_training_last_timestamp_seconds", status="failed") is not None
    assert sample("musicrec_training_last_success_timestamp_seconds") is None


def test_the_metrics_take_three_queries_at_most(db: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        render_metrics()
    assert len(queries) <= 3


def test_an_unavailable_broker_neither_fails_nor_delays_the_metrics(db: None, settings: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts the connection but never answers
        for port in (silent.getsockname()[1], free_port()):
            settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{port}/0"
            began = time.monotonic()
            assert collectors.collect_from_broker() == collectors.PartMetrics(answered=False)
            assert time.monotonic() - began < 0.5  # the timeout is 0.2 s
            assert sample("musicrec_up", part="broker") == 0


@pytest.mark.parametrize("url", ["", "amqp://127.0.0.1//"])
def test_without_a_redis_broker_its_metrics_are_left_out(db: None, settings: Any, url: str) -> None:
    settings.CELERY_BROKER_URL = url
    assert sample("musicrec_up", part="broker") is None
    assert sample("musicrec_queue_tasks", queue="celery") is None


@pytest.mark.skipif(os.environ.get("MUSICREC_TEST_STACK") != "production", reason="needs Valkey")
def test_waiting_tasks_are_counted_by_queue(db: None, settings: Any) -> None:
    from redis import Redis

    settings.CELERY_BROKER_URL = f"{settings.REDIS_URL.rsplit('/', 1)[0]}/14"
    with Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        broker.rpush("training", "a", "b")
        try:
            assert sample("musicrec_queue_tasks", queue="training") == 2
            assert sample("musicrec_queue_tasks", queue="celery") == 0
        finally:
            broker.delete("training")


def test_unreadable_models_are_reported_as_down(db: None, settings: Any) -> None:
    settings.MUSICREC["MODEL_DIR"].mkdir()
    (settings.MUSICREC["MODEL_DIR"] / "current.json").write_text("{")
    assert sample("musicrec_up", part="models") == 0
    assert sample("musicrec_model_size_bytes") is None


def test_a_service_key_can_read_the_endpoint(service: APIClient) -> None:
    answer = service.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert b"musicrec_training_runs{" in answer.content


SERVE = """
import os, signal, sys, time
import django
django.setup()
from musicrec.metrics.exposition import render_metrics
from common.http.request_metrics import labelled_histogram
from recommendations import metrics

def serve():
    labelled_histogram("live", "", 200).observe(0.001)
    metrics.set_served_version("v1")
    metrics.set_served_version("v2")
    os.write(ready, b".")
    time.sleep(60)

counted, ready = os.pipe()
children = [pid for _ in range(3) if (pid := os.fork()) or serve()]
for _ in children:
    os.read(counted, 1)
os.kill(children[0], signal.SIGKILL)
os.waitpid(children[0], 0)
print(children[0], render_metrics().decode(), sep="\\n")
for child in children[1:]:
    os.kill(child, signal.SIGKILL)
"""


def test_processes_are_added_up_and_dead_ones_serve_no_version_even_without_a_database(tmp_path: Path) -> None:
    """Two processes are alive and one was killed: three requests count, but only two processes serve the version."""
    unavailable = {"DATABASE_URL": f"postgres://nobody:x@127.0.0.1:{free_port()}/none", "CELERY_BROKER_URL": ""}
    settings = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "musicrec.settings"}
    command = [sys.executable, "-c", SERVE]
    completed = subprocess.run(
        command, env=os.environ | settings | unavailable, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert completed.returncode == 0, completed.stderr
    dead, _, output = completed.stdout.partition("\n")
    assert 'musicrec_request_seconds_count{endpoint="live",status="200",strategy=""} 3.0' in output
    assert 'musicrec_model_processes{version="v2"} 2.0' in output
    assert 'musicrec_model_processes{version="v1"} 0.0' in output
    assert not list(tmp_path.glob(f"gauge_live*_{dead}.db"))
    assert list(tmp_path.glob(f"histogram_{dead}.db"))
    assert 'musicrec_up{part="database"} 0.0' in output
    assert 'musicrec_up{part="models"} 1.0' in output
    assert "musicrec_training_runs{" not in output
