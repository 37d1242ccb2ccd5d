"""Send what is due. Deliveries are rows: a process that is killed loses none, and sends one again at worst."""

import logging
import random
import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from webhooks.http import NoWebhookAnswer, post
from webhooks.models import WebhookDelivery, WebhookEndpoint
from webhooks.signatures import sign_delivery

logger = logging.getLogger(__name__)
Status = WebhookDelivery.Status
MINUTE, HOUR = 60, 3_600
# Seconds between the attempts: a receiver has more than a day to come back.
RETRY_DELAYS = (MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR)
JITTER = 0.2  # deliveries that failed together are not repeated together
CLAIM_SECONDS = 60  # longer than an attempt takes, which ends after `webhooks.http.TIMEOUT_SECONDS`
RUN_SECONDS = 60.0  # a worker has other tasks, too; the next run continues
GONE = 410
PRUNED_AT_ONCE = 1_000


def send_due_deliveries() -> str:
    """Send the pending deliveries that are due, and return a summary.

    Several processes may do so at the same time: each claims a delivery before it sends it. An endpoint that fails is
    left alone for the rest of the run, so that the others do not wait for it again and again.
    """
    prune_deliveries()
    deadline, counts, failing = time.monotonic() + RUN_SECONDS, dict.fromkeys(Status, 0), set[int]()
    while time.monotonic() < deadline and (delivery := _claim_next(failing)):
        status = _attempt(delivery)
        counts[status] += 1
        if status is not Status.DELIVERED:
            failing.add(delivery.endpoint_id)
    return f"{counts[Status.DELIVERED]} delivered, {counts[Status.PENDING]} to repeat, {counts[Status.FAILED]} failed"


def _claim_next(excluded_endpoints: set[int]) -> WebhookDelivery | None:
    """Claim the delivery that has been due for longest and return it; None if none is due."""
    while True:
        now = timezone.now()
        unclaimed = Q(claimed_until=None) | Q(claimed_until__lte=now)
        due = WebhookDelivery.objects.filter(unclaimed, status=Status.PENDING, next_attempt_at__lte=now)
        candidates = due.filter(endpoint__is_active=True).exclude(endpoint__in=excluded_endpoints)
        pk = candidates.order_by("next_attempt_at", "pk").values_list("pk", flat=True).first()
        if pk is None:
            return None
        # Another process may claim the same row now; the database lets one of them change it.
        claim = {"claimed_until": now + timedelta(seconds=CLAIM_SECONDS), "attempts": F("attempts") + 1}
        if due.filter(pk=pk).update(**claim):
            return WebhookDelivery.objects.select_related("endpoint").filter(pk=pk).first()


def _attempt(delivery: WebhookDelivery) -> Status:
    """Send a claimed delivery once, store what came of it, and return its new status."""
    body = delivery.payload.encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "musicrec",
        **sign_delivery(delivery.endpoint, delivery.event_id, timezone.now(), body),
    }
    outcome: dict[str, Any] = {"response_status": None, "response_excerpt": "", "error": "", "claimed_until": None}
    try:
        answer = post(delivery.endpoint.url, headers, body)
    except NoWebhookAnswer as error:
        outcome |= {"error": str(error)}
    else:
        outcome |= {"response_status": answer.status, "response_excerpt": answer.excerpt}
        if not 200 <= answer.status < 300:
            outcome |= {"error": _explain_status(answer.status)}
    now = timezone.now()
    if not outcome["error"]:
        status = Status.DELIVERED
        outcome |= {"delivered_at": now, "next_attempt_at": None}
    elif outcome["response_status"] == GONE or delivery.attempts > len(RETRY_DELAYS):
        status = Status.FAILED
        outcome |= {"next_attempt_at": None}
    else:
        status = Status.PENDING
        delay = RETRY_DELAYS[delivery.attempts - 1] * random.uniform(1, 1 + JITTER)  # noqa: S311
        outcome |= {"next_attempt_at": now + timedelta(seconds=delay)}
    # If the claim has ended, another process sends it meanwhile and stores its own outcome.
    claimed = WebhookDelivery.objects.filter(pk=delivery.pk, claimed_until=delivery.claimed_until)
    if claimed.update(status=status, **outcome):
        _record_health(delivery.endpoint, status is Status.DELIVERED, is_gone=outcome["response_status"] == GONE)
    logger.info(
        "webhook delivery=%s endpoint=%s attempt=%s %s %s",
        delivery.pk,
        delivery.endpoint_id,
        delivery.attempts,
        status,
        outcome["error"] or f"answered {outcome['response_status']}",
    )
    return status


def _explain_status(status: int) -> str:
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed; enter the new address"
    if status == GONE:
        return "answered 410 Gone: the endpoint is deactivated"
    return f"answered {status}; expected 200 to 299"


def _record_health(endpoint: WebhookEndpoint, succeeded: bool, is_gone: bool) -> None:
    row, now = WebhookEndpoint.objects.filter(pk=endpoint.pk), timezone.now()
    if succeeded:
        row.exclude(failing_since=None).update(failing_since=None)
    else:
        row.filter(failing_since=None).update(failing_since=now)
    if is_gone:
        row.update(is_active=False, gone_at=now)


def prune_deliveries() -> None:
    """Delete deliveries that are older than MUSICREC_WEBHOOK_DAYS, whatever their status."""
    if days := settings.MUSICREC["WEBHOOK_DAYS"]:
        old = WebhookDelivery.objects.filter(created_at__lt=timezone.now() - timedelta(days=days))
        while batch := list(old.order_by("created_at").values_list("pk", flat=True)[:PRUNED_AT_ONCE]):
            WebhookDelivery.objects.filter(pk__in=batch).delete()
