"""Announce events to the endpoints that subscribe to them, and change endpoints."""

import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from webhooks.models import TEST_EVENT, WebhookDelivery, WebhookEndpoint, new_secret_seed
from webhooks.signatures import secret_of
from webhooks.tasks import send_deliveries

logger = logging.getLogger(__name__)
Status = WebhookDelivery.Status
ROTATION_GRACE = timedelta(hours=24)


@transaction.atomic
def announce(event_type: str, data: dict[str, Any]) -> None:
    """Store an event for each endpoint that subscribes to it, in the transaction of the caller.

    It is sent after the commit and if there is one, so that nobody hears of what did not happen, and nothing is lost if
    this process is killed.

    Args:
        event_type: one of `WebhookEventType`.
        data: what the receiver is told, in types that JSON has. No personal data: deliveries are not erased with a
            listener.
    """
    active = WebhookEndpoint.objects.filter(is_active=True)
    _store_deliveries([endpoint for endpoint in active if event_type in endpoint.event_types], event_type, data)


@transaction.atomic
def send_test_event(endpoint: WebhookEndpoint) -> None:
    """Send an event to one endpoint, whatever it subscribes to."""
    _store_deliveries([endpoint], TEST_EVENT, {"endpoint": endpoint.name})


def _store_deliveries(endpoints: list[WebhookEndpoint], event_type: str, data: dict[str, Any]) -> None:
    if not endpoints:
        return
    now, event_id = timezone.now(), f"msg_{uuid.uuid4().hex}"
    payload = orjson.dumps({"type": event_type, "timestamp": now, "data": data}, option=orjson.OPT_UTC_Z).decode()
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint=endpoint, event_id=event_id, event_type=event_type, payload=payload, next_attempt_at=now
        )
        for endpoint in endpoints
    )
    _send_after_commit()


def send_again(deliveries: Iterable[WebhookDelivery]) -> int:
    """Make deliveries due now, from the first attempt, and return their number; endpoints get the same `webhook-id`."""
    # Ending the claim of an attempt that is in progress keeps its outcome from replacing this.
    due_now = {"status": Status.PENDING, "attempts": 0, "next_attempt_at": timezone.now(), "claimed_until": None}
    count = 0
    with transaction.atomic():
        for delivery in deliveries:
            count += WebhookDelivery.objects.filter(pk=delivery.pk).update(**due_now, delivered_at=None)
        _send_after_commit()
    return count


@transaction.atomic
def rotate_secret(endpoint_id: int) -> str:
    """Replace the secret of an endpoint and return the new one. For a day deliveries are signed with both."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=endpoint_id)
    endpoint.previous_seed, endpoint.secret_seed = endpoint.secret_seed, new_secret_seed()
    endpoint.previous_until = timezone.now() + ROTATION_GRACE
    endpoint.save(update_fields=["secret_seed", "previous_seed", "previous_until"])
    return secret_of(endpoint.secret_seed)


def reactivate_endpoint(endpoint_id: int) -> None:
    """Forget that an endpoint failed or was gone, after an operator has activated it again."""
    WebhookEndpoint.objects.filter(pk=endpoint_id).update(failing_since=None, gone_at=None)


def _send_after_commit() -> None:
    """Have a worker send what is due. If the broker is away, beat does so; without one, the web processes do."""
    if settings.CELERY_BROKER_URL:
        transaction.on_commit(_start_sending, robust=True)


def _start_sending() -> None:
    try:
        send_deliveries.apply_async(retry=False)
    except OperationalError as error:
        logger.warning("webhooks wait for the next run: %s", error)
