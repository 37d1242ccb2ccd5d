"""Putting a version into service starts the precomputation of rankings."""

from typing import Any

import pytest
from kombu.exceptions import OperationalError

from recommendations import services
from recommendations.models import Alarm
from recommendations.version_store import version_in_service
from tests.people import CatalogueFactory


@pytest.fixture
def precomputations(monkeypatch: pytest.MonkeyPatch, settings: Any, catalogue: CatalogueFactory) -> list[list[str]]:
    """Return a list that receives the arguments of every precomputation that is started."""
    arguments: list[list[str]] = []
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:9/0"
    monkeypatch.setattr(services, "is_enabled", lambda: True)
    monkeypatch.setattr(services.make_mixes, "apply_async", lambda retry: None)
    monkeypatch.setattr(services.precompute_active, "apply_async", lambda args, retry: arguments.append(args))
    catalogue.checkerboard()
    return arguments


def test_training_publishing_and_rolling_back_start_a_precomputation(precomputations: list[list[str]]) -> None:
    services.train_model("test")
    first = str(version_in_service())
    services.train_model("test", force=True)
    second = str(version_in_service())
    assert services.roll_back() == first
    services.publish_version(second)
    assert precomputations == [[first], [second], [first], [second]]


def test_a_run_that_publishes_nothing_starts_no_precomputation(precomputations: list[list[str]]) -> None:
    services.train_model("test")
    assert services.train_model("test").status == "Unchanged"
    assert len(precomputations) == 1


def test_old_radios_that_cannot_be_deleted_raise_an_alarm_and_do_not_stop_the_training(
    catalogue: CatalogueFactory, settings: Any
) -> None:
    catalogue.checkerboard()
    settings.MUSICREC = settings.MUSICREC | {"RADIO_DAYS": 10**9}  # longer ago than dates reach
    assert services.train_model("test").status == "Published"
    alarm = Alarm.objects.get(kind="old_rows_not_deleted", resolved_at=None)
    assert alarm.message.startswith("old rows were not deleted, the next training tries again: OverflowError: ")
    settings.MUSICREC = settings.MUSICREC | {"RADIO_DAYS": 30}
    services.train_model("test")
    assert not Alarm.objects.filter(resolved_at=None).exists()


def test_an_unavailable_broker_does_not_fail_the_publication(
    precomputations: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(args: list[str], retry: bool) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(services.precompute_active, "apply_async", refuse)
    assert services.train_model("test").status == "Published"
    assert version_in_service() is not None
