"""The endpoints that are told about events, and the log of what was delivered to them."""

import secrets

from django.db import models
from django.db.models import Q

TEST_EVENT = "webhook.test"


class WebhookEventType(models.TextChoices):
    """The events that an endpoint can subscribe to. A new one is a line here, and a call of `announce`."""

    VERSION_PUBLISHED = "version.published", "Version published"
    VERSION_HELD_BACK = "version.held_back", "Version held back"
    ALARM_RAISED = "alarm.raised", "Alarm raised"
    ALARM_RESOLVED = "alarm.resolved", "Alarm resolved"
    MIXES_READY = "mixes.ready", "Mixes ready"
    ERASURE_COMPLETED = "erasure.completed", "Erasure completed"


def new_secret_seed() -> str:
    return secrets.token_hex(32)


class WebhookEndpoint(models.Model):
    """An address of the app's back end that events are sent to.

    Its secret is computed from the seed and `SECRET_KEY`, see `webhooks.signatures`, so that neither the database nor a
    backup of it contains the secret.
    """

    name = models.CharField(max_length=64, unique=True)
    url = models.CharField("URL", max_length=500, help_text="Where events are sent to, by POST.")
    event_types = models.JSONField(default=list)
    is_active = models.BooleanField(
        "active", default=True, help_text="An endpoint that is not active gets nothing; what is pending waits."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    secret_seed = models.CharField(max_length=64, default=new_secret_seed, editable=False)
    previous_seed = models.CharField(max_length=64, blank=True, editable=False)
    previous_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Until then deliveries are signed with the previous secret, too.",
    )
    failing_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Since when no delivery has succeeded."
    )
    gone_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When it answered 410 Gone, which deactivates an endpoint."
    )

    class Meta:
        db_table = "webhook_endpoints"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """An event for one endpoint, and what came of it."""

    class Status(models.TextChoices):
        PENDING = "pending"
        DELIVERED = "delivered"
        FAILED = "failed"

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="deliveries")
    event_id = models.CharField(
        max_length=64, help_text="Sent as webhook-id: the same for all endpoints and at every attempt."
    )
    event_type = models.CharField(max_length=64)
    payload = models.TextField(help_text="The body, JSON.")
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    attempts = models.PositiveIntegerField(default=0, help_text="Attempts begun so far.")
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="A process is sending it; if it is killed, another one may send it from then on.",
    )
    response_status = models.PositiveIntegerField(
        null=True, blank=True, help_text="The status code of the last answer."
    )
    response_excerpt = models.TextField(blank=True, help_text="The beginning of the last answer's body.")
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")
    created_at = models.DateTimeField(auto_now_add=True)
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "webhook_deliveries"
        ordering = ["-pk"]
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="webhook_delivery_once"),
            models.CheckConstraint(
                condition=Q(status="pending", next_attempt_at__isnull=False)
                | ~Q(status="pending") & Q(next_attempt_at=None),
                name="webhook_delivery_due_while_pending",
            ),
        ]
        indexes = [
            models.Index(fields=["next_attempt_at"], name="webhook_delivery_due", condition=Q(status="pending")),
            models.Index(fields=["created_at"], name="webhook_delivery_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.event_id}"
