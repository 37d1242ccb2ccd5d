"""Events are stored for webhooks in the transaction of what they report."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from access.models import Erasure, User
from privacy import erasure as erasing
from privacy.erasure import finish_erasures, request_erasure
from recommendations.alarms import raise_alarm, resolve_alarms
from recommendations.models import Alarm, ModelArtifact
from recommendations.services import publish_version, watch_webhooks
from recommendations.training import artifacts, publish
from recommendations.training.quality_gate import Decision
from recommendations.training.run import finish_interrupted_run, run_training
from tests.people import CatalogueFactory
from tests.webhooks.receiver import Receiver
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.services import announce
from webhooks.tasks import send_deliveries


@pytest.fixture(autouse=True)
def endpoint(subscribe: Callable[..., WebhookEndpoint]) -> WebhookEndpoint:
    return subscribe(Receiver(port=9))


def told() -> list[tuple[str, dict[str, Any]]]:
    """Return type and data of the events, in order."""
    payloads = WebhookDelivery.objects.order_by("pk").values_list("payload", flat=True)
    return [(payload["type"], payload["data"]) for payload in map(json.loads, payloads)]


def rfc3339(time: Any) -> str:
    return time.isoformat().replace("+00:00", "Z")


def test_a_publication_is_told_with_the_version(catalogue: CatalogueFactory) -> None:
    catalogue.checkerboard(6)
    run_training("test")
    artifact = ModelArtifact.objects.get()
    version = {"version": artifact.version, "algorithm": "ials", "ndcg_10": artifact.ndcg}
    assert told() == [("version.published", version | {"published_at": rfc3339(artifact.published_at)})]
    publish_version(artifact.version)
    artifact.refresh_from_db()
    assert told()[1:] == [("version.published", version | {"published_at": rfc3339(artifact.published_at)})]


def test_a_publication_whose_process_was_killed_is_told_by_the_next_run(
    catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.checkerboard(6)

    def die(*args: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(publish, "record_publication", die)
        with pytest.raises(SystemExit):
            run_training("test")
    assert told() == []
    finish_interrupted_run()
    finish_interrupted_run()
    assert [(kind, data["version"]) for kind, data in told()] == [
        ("version.published", ModelArtifact.objects.get().version)
    ]


def test_a_version_that_is_held_back_is_told_with_the_reason(
    catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.checkerboard(6)
    decision = Decision(False, "worse than most popular")
    monkeypatch.setattr("recommendations.training.run.decide_about_version", lambda trained: decision)
    run_training("test")
    artifact = ModelArtifact.objects.get()
    version = {"version": artifact.version, "algorithm": "ials", "ndcg_10": artifact.ndcg}
    assert told()[0] == ("version.held_back", version | {"reason": "worse than most popular"})
    assert [(kind, data["kind"]) for kind, data in told()[1:]] == [("alarm.raised", "held_back")]


def test_an_alarm_is_told_when_it_is_raised_and_when_it_is_resolved() -> None:
    raise_alarm("prune_failed", "", "the disk is full")
    raise_alarm("prune_failed", "", "the disk is still full")
    alarm = Alarm.objects.get()
    assert alarm.count == 2
    about = {"alarm_id": alarm.pk, "kind": "prune_failed", "subject": "", "raised_at": rfc3339(alarm.first_at)}
    raised = ("alarm.raised", about | {"message": "the disk is full"})
    assert told() == [raised]
    resolve_alarms("another")
    resolve_alarms("prune_failed")
    resolve_alarms("prune_failed")
    alarm.refresh_from_db()
    resolved = about | {"message": "the disk is still full", "resolved_at": rfc3339(alarm.resolved_at)}
    assert told() == [raised, ("alarm.resolved", resolved)]


def test_a_completed_erasure_is_told_without_anything_personal(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(erasing, "GRACE_SECONDS", 0)
    user = User.objects.create(username="alice", external_id="app:alice")
    erasure = request_erasure(user.pk)
    assert told() == []
    finish_erasures()
    assert told() == [("erasure.completed", {"receipt": str(erasure.pk), "user_id": user.pk})]


def test_an_erasure_that_is_not_completed_is_not_told(monkeypatch: pytest.MonkeyPatch, alice: User) -> None:
    """The event is part of the transaction that completes the erasure."""
    monkeypatch.setattr(erasing, "GRACE_SECONDS", 0)
    request_erasure(alice.pk)

    def fail(*args: Any) -> None:
        announce(*args)
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(erasing, "announce", fail)
    finish_erasures()
    assert Erasure.objects.get().completed_at is None
    assert [kind for kind, _ in told()] == ["alarm.raised"]


def test_a_version_whose_row_is_not_stored_is_not_told(
    catalogue: CatalogueFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue.checkerboard(6)
    decision = Decision(False, "worse")
    monkeypatch.setattr("recommendations.training.run.decide_about_version", lambda trained: decision)

    def fail(*args: Any) -> None:
        announce(*args)
        raise DatabaseError("the disk is full")

    monkeypatch.setattr(artifacts, "announce", fail)
    run_training("test")
    assert not ModelArtifact.objects.exists()
    assert [(kind, data["kind"]) for kind, data in told()] == [("alarm.raised", "training_failed")]


@pytest.mark.django_db(transaction=True)
def test_a_worker_is_asked_to_send_after_the_commit_and_not_without_one(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
    sent: list[int] = []
    monkeypatch.setattr(send_deliveries, "apply_async", lambda **options: sent.append(WebhookDelivery.objects.count()))

    @transaction.atomic
    def announce_and_fail() -> None:
        announce("alarm.raised", {"kind": "x"})
        raise DatabaseError

    with pytest.raises(DatabaseError):
        announce_and_fail()
    assert (sent, told()) == ([], [])
    with transaction.atomic():
        announce("alarm.raised", {"kind": "x"})
        assert sent == []
    assert sent == [1]


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_does_not_fail_the_caller(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    def fail(**options: Any) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(send_deliveries, "apply_async", fail)
    raise_alarm("prune_failed", "", "the disk is full")
    assert [kind for kind, _ in told()] == ["alarm.raised"]


# --- An endpoint that fails ---


def test_an_endpoint_that_fails_for_a_day_raises_one_alarm_and_tells_no_webhook(
    endpoint: WebhookEndpoint, subscribe: Callable[..., WebhookEndpoint]
) -> None:
    subscribe(Receiver(port=9), "other", failing_since=timezone.now() - timedelta(hours=23))
    endpoint.failing_since = timezone.now() - timedelta(hours=25)
    endpoint.save()
    for _ in range(3):
        watch_webhooks()
    alarm = Alarm.objects.get()
    assert (alarm.kind, alarm.subject, alarm.count) == ("webhook_failing", "app", 1)
    since = f"{endpoint.failing_since:%Y-%m-%d %H:%M}"
    assert alarm.message == (
        f"the webhook endpoint app has failed since {since} UTC; its deliveries in the admin say why"
    )
    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(hours=25))
    watch_webhooks()
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=None)
    watch_webhooks()
    assert list(Alarm.objects.filter(resolved_at=None).values_list("subject", flat=True)) == ["other"]
    assert told() == []


def test_an_endpoint_that_is_gone_raises_an_alarm_until_it_is_deleted(endpoint: WebhookEndpoint) -> None:
    now = timezone.now()
    WebhookEndpoint.objects.update(is_active=False, gone_at=now, failing_since=now)
    watch_webhooks()
    message = Alarm.objects.get(kind="webhook_failing", resolved_at=None).message
    assert message.startswith(f"the webhook endpoint app answered 410 Gone at {now:%Y-%m-%d %H:%M} UTC")
    endpoint.delete()
    watch_webhooks()
    assert not Alarm.objects.filter(resolved_at=None).exists()
