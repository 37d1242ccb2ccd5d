from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from kombu.exceptions import OperationalError

from access.models import User
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.rp3beta import RP3Beta
from recommendations.models import TuningStudy, TuningTrial
from recommendations.tasks import train_model

NEIGHBOURS = EnsembleConfig((ComponentConfig(RP3Beta()),))


def test_the_page_of_a_study_lists_the_best_trials_first(db: None, client: Client) -> None:
    study = TuningStudy.objects.create(budget_seconds=1, status="tried", score=0.3, recipe=NEIGHBOURS.to_dict())
    for number, score in enumerate((0.1, None, 0.3, 0.2), 1):
        TuningTrial.objects.create(
            study=study,
            number=number,
            family="rp3beta",
            parameters=ComponentConfig(RP3Beta()).to_dict(),
            score=score,
            seconds=2,
        )
    client.force_login(User.objects.create_superuser("operator"))
    assert "rp3beta" in client.get("/admin/recommendations/tuningstudy/").content.decode()
    page = client.get(f"/admin/recommendations/tuningstudy/{study.pk}/change/").content.decode()
    places = [page.index(f"0.{n}000") for n in (3, 2, 1)]
    assert places == sorted(places)
    assert "beta 0.3" in page


def test_only_a_run_that_was_started_is_logged(
    db: None, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    client.force_login(User.objects.create_superuser("operator"))
    path = "/admin/recommendations/trainingrun/press"

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(train_model, "apply_async", fail)
    page = client.post(path, follow=True).content.decode()
    assert "the broker does not answer (connection refused)" in page
    assert not LogEntry.objects.exists()
    sent: list[Any] = []
    monkeypatch.setattr(train_model, "apply_async", lambda arguments, **options: sent.append(arguments))
    assert "Training has been started" in client.post(path, follow=True).content.decode()
    assert sent == [("admin",)]
    assert LogEntry.objects.get().get_change_message() == "Pressed “Train now”."
