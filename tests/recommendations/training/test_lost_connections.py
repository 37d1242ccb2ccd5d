"""A database connection that is lost during a training run: the run survives it, or ends as failed with an alarm."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.db import connection

from recommendations import metrics
from recommendations.models import Alarm, TrainingRun, TuningStudy
from recommendations.training import run, tuning
from recommendations.training.run import run_training
from recommendations.training.tuning import run_tuning
from tests.people import CatalogueFactory

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="SQLite has no connections to lose"),
]


@pytest.fixture
def plays(transactional_db: None) -> None:
    CatalogueFactory().checkerboard()


def end_connections() -> int:
    """End all connections to the database of the test, as a restart of the server does; return their number."""
    database = settings.DATABASES["default"]
    address = os.environ["DATABASE_URL"].rsplit("/", 1)[0] + "/postgres"
    with psycopg2.connect(address) as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = %s", [database["NAME"]]
        )
        ended: int = cursor.fetchone()[0]
    other.close()
    return ended


@contextmanager
def connection_lost_before(fragment: str, times: int = 1) -> Iterator[list[str]]:
    """Lose the connection right before statements that contain a fragment; yield the statements."""
    statements: list[str] = []

    def lose_connection(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if fragment in sql and len(statements) < times:
            statements.append(sql)
            end_connections()
        return execute(sql, *rest)

    with connection.execute_wrapper(lose_connection):
        yield statements


def alarms_raised(kind: str) -> float:
    return metrics.alarms.labels(kind)._value.get()  # type: ignore[no-any-return]


def test_no_connection_is_held_while_a_version_is_trained(plays: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []

    def end_connections_and_train(*args: Any, **kwargs: Any) -> Any:
        ended.append(end_connections())
        return original(*args, **kwargs)

    original = run.train
    monkeypatch.setattr(run, "train", end_connections_and_train)
    assert run_training("test").status == "Published"
    assert run_training("test", force=True).status == "Published"  # reads about the version in service first
    assert ended == [0, 0]
    assert set(TrainingRun.objects.values_list("status", flat=True)) == {"published"}
    assert Alarm.objects.count() == 0


@pytest.mark.parametrize("stage", ["reconcile", "read", "train", "judge", "publish"])
def test_a_run_whose_connection_is_lost_ends_as_failed_with_an_alarm(
    plays: None, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {
        "reconcile": "user_features_are_stored",
        "read": "load_track_ids",
        "train": "train",
        "judge": "record_version",
        "publish": "publish",
    }[stage]
    before, original = alarms_raised("training_failed"), getattr(run, name)
    if stage == "reconcile":
        run_training("test")

    def lose_connection(*args: Any, **kwargs: Any) -> Any:
        TrainingRun.objects.count()  # opens a connection
        end_connections()
        TrainingRun.objects.count()
        return original(*args, **kwargs)

    monkeypatch.setattr(run, name, lose_connection)
    result = run_training("test", force=True)
    training_run = TrainingRun.objects.latest("started_at")
    assert (result.status, training_run.status, training_run.stage) == ("Failed", "failed", "")
    assert "django.db.utils.OperationalError: " in training_run.detail
    assert training_run.finished_at is not None
    alarm = Alarm.objects.get(resolved_at=None)
    assert (alarm.kind, alarm.count) == ("training_failed", 1)
    assert alarm.message.startswith("OperationalError: ")
    assert alarms_raised("training_failed") == before + 1
    monkeypatch.undo()
    assert run_training("test", force=True).status == "Published"
    assert Alarm.objects.filter(resolved_at=None).count() == 0


@pytest.mark.parametrize(
    "fragment", ['UPDATE "alarms"', 'INSERT INTO "alarms"', 'UPDATE "training_runs" SET "trigger"']
)
def test_a_connection_lost_while_the_failure_is_recorded_is_replaced(
    plays: None, fragment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise ValueError("no memory")

    monkeypatch.setattr(run, "train", fail)
    with connection_lost_before(fragment) as statements:
        result = run_training("test")
    assert len(statements) == 1
    training_run = TrainingRun.objects.get()
    assert (result.status, training_run.status) == ("Failed", "failed")
    assert training_run.detail.endswith("ValueError: no memory\n")
    assert [(a.kind, a.message) for a in Alarm.objects.all()] == [("training_failed", "ValueError: no memory")]


def test_a_published_run_is_recorded_although_the_connection_is_lost_at_its_end(plays: None) -> None:
    with connection_lost_before('UPDATE "training_runs" SET "trigger"') as statements:
        result = run_training("test")
    assert len(statements) == 1
    assert (result.status, TrainingRun.objects.get().status) == ("Published", "published")


def test_a_study_survives_the_loss_of_its_connection_between_trials(
    plays: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[bool] = []

    def end_connections_after_each_trial(*args: Any, **kwargs: Any) -> Any:
        on_trial = kwargs.pop("on_trial")

        def save_and_end(trial: Any) -> None:
            on_trial(trial)
            released.append(connection.connection is None)
            end_connections()

        return original(*args, on_trial=save_and_end, **kwargs)

    original = tuning.tune
    monkeypatch.setattr(tuning, "tune", end_connections_after_each_trial)
    result = run_tuning("test", seconds=1, train_best=False)
    study = TuningStudy.objects.get()
    assert result.status in ("No better", "Tried, not trained"), result.detail
    assert study.finished_at is not None
    assert study.trials.count() == len(released) > 0
    assert all(released)


def test_a_study_whose_connection_is_lost_ends_as_failed_with_an_alarm(plays: None) -> None:
    with connection_lost_before('INSERT INTO "tuning_trials"'):
        result = run_tuning("test", seconds=1, train_best=False)
    study = TuningStudy.objects.get()
    assert (result.status, study.status) == ("Failed", "failed")
    assert "django.db.utils.OperationalError: " in study.detail
    assert [alarm.kind for alarm in Alarm.objects.all()] == ["tuning_failed"]
