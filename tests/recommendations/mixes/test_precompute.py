"""Mixes that are made after the nightly training run, before anybody asks."""

import json
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError
from rest_framework.test import APIClient

from access.models import User
from recommendations import services
from recommendations.mixes import precompute, storage
from recommendations.mixes.precompute import MixesProgress, make_mixes_of_active
from recommendations.mixes.shelves import Shelf
from recommendations.models import Alarm, StoredMixes
from recommendations.serving.model_cache import LoadedModel, model_cache
from recommendations.serving.request_context import RequestContext, load_contexts
from tests.people import CatalogueFactory
from tests.recommendations.mixes.conftest import Scene, by_id
from webhooks.models import WebhookDelivery, WebhookEndpoint


@pytest.fixture(autouse=True)
def _ahead(settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 1000}


def make_all() -> int:
    """Run all batches, and return their number."""
    progress, batches = MixesProgress(), 0
    while progress is not None:
        progress, batches = make_mixes_of_active(progress), batches + 1  # type: ignore[assignment]
    return batches


def test_mixes_of_active_listeners_are_made_in_batches_and_announced_once(
    scene: Scene,
    catalogue: CatalogueFactory,
    service: APIClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    WebhookEndpoint.objects.create(name="app", url="http://127.0.0.1:9/", event_types=["mixes.ready"])
    inactive, withdrawn = scene.listeners[0], scene.listeners[1]
    User.objects.filter(pk=withdrawn.pk).update(consent=False)
    asleep = User.objects.create_user("asleep")
    catalogue.play(asleep, *scene.tracks["pop"][:8], at=timezone.now() - timedelta(days=40))
    early = service.get(f"/users/{inactive.pk}/mixes").content  # somebody who was awake before the training run
    monkeypatch.setattr(precompute, "BATCH", 10)
    assert make_all() == 3
    active = {user.pk for user in scene.listeners} - {withdrawn.pk}
    stored = set(StoredMixes.objects.exclude(user=None).values_list("user", flat=True))
    assert stored == active
    assert set(StoredMixes.objects.filter(user=None).values_list("market", flat=True)) == {"", "DE"}
    [payload] = [json.loads(delivery.payload) for delivery in WebhookDelivery.objects.all()]
    today = timezone.now().date().isoformat()
    assert (payload["type"], payload["data"]) == (
        "mixes.ready",
        {"day": today, "listeners": len(active) - 1, "model_version": model_cache.current().bundle.version},
    )
    make_all()
    assert WebhookDelivery.objects.count() == 1
    monkeypatch.setattr(storage, "make_personal_shelves", None)  # making mixes is an error from now on
    assert service.get(f"/users/{inactive.pk}/mixes").content == early
    assert "on-repeat" in by_id(service.get(f"/users/{scene.listeners[3].pk}/home"))


def test_mixes_that_cannot_be_made_do_not_keep_others_from_theirs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky, make = scene.listeners[1], storage.make_personal_shelves

    def make_or_fail(context: RequestContext, model: LoadedModel, day: date) -> list[Shelf]:
        if context.listener_id == unlucky.pk:
            raise ArithmeticError("no factors")
        return make(context, model, day)

    monkeypatch.setattr(storage, "make_personal_shelves", make_or_fail)
    make_all()
    stored = set(StoredMixes.objects.exclude(user=None).values_list("user", flat=True))
    assert stored == {user.pk for user in scene.listeners} - {unlucky.pk}
    alarm = Alarm.objects.get(kind="mixes_failed", resolved_at=None)
    assert alarm.message == f"mixes of listener {unlucky.pk}: ArithmeticError: no factors"
    monkeypatch.setattr(storage, "make_personal_shelves", make)
    make_all()
    assert StoredMixes.objects.filter(user=unlucky.pk).exists()
    assert not Alarm.objects.filter(kind="mixes_failed", resolved_at=None).exists()


def test_the_setting_limits_how_many_listeners_have_mixes_made_for_them(scene: Scene, settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 5}
    make_all()
    assert StoredMixes.objects.exclude(user=None).count() == 5
    StoredMixes.objects.all().delete()
    settings.MUSICREC = settings.MUSICREC | {"AHEAD_LISTENERS": 0}
    make_all()
    assert not StoredMixes.objects.exists()


def test_the_first_process_that_stores_mixes_has_made_those_of_the_day(scene: Scene) -> None:
    """Two processes make the mixes of a listener at once, the second one after a new play."""
    user, today = scene.listeners[1], timezone.now().date()
    [context] = load_contexts([user.pk]).values()
    model = model_cache.current()
    winner = storage.build_row([], model, user_id=user.pk, day=today, basis=1)
    winner.shelves = [storage.make_personal_shelves(context, model, today)[0].to_json()]
    winner.save()
    shelves = storage.make_personal_shelves(context, model, today)
    stored = storage._store(None, shelves, model, user_id=user.pk, day=today, basis=context.history.interactions)
    assert len(shelves) > 1
    assert (stored.pk, stored.shelves) == (winner.pk, winner.shelves)


def test_the_training_run_deletes_old_mixes_and_starts_the_making_of_new_ones(
    catalogue: CatalogueFactory, settings: Any, monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    catalogue.checkerboard(6)
    today = timezone.now().date()
    for days in (0, 1, 2):
        StoredMixes.objects.create(user=alice, day=today - timedelta(days=days))
        StoredMixes.objects.create(market="DE", day=today - timedelta(days=days))
    started: list[bool] = []
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:9/0"
    monkeypatch.setattr(services.make_mixes, "apply_async", lambda retry: started.append(retry))
    assert services.train_model("test").status == "Published"
    assert services.train_model("test").status == "Unchanged"
    assert started == [False, False]
    assert set(StoredMixes.objects.values_list("day", flat=True)) == {today}

    def refuse(retry: bool) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(services.make_mixes, "apply_async", refuse)
    assert services.train_model("test").status == "Unchanged"
