from datetime import timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from webhooks.models import WebhookEndpoint

FAILING_AFTER = timedelta(hours=24)


def failing_endpoints() -> QuerySet[WebhookEndpoint]:
    """Return the endpoints that an operator should look at: failing for a day, or deactivated because they are gone."""
    failing = Q(is_active=True, failing_since__lte=timezone.now() - FAILING_AFTER)
    return WebhookEndpoint.objects.filter(failing | Q(gone_at__isnull=False))


def describe_failure(endpoint: WebhookEndpoint) -> str:
    """Return a sentence for the operator about an endpoint that is failing."""
    if endpoint.gone_at:
        return (
            f"the webhook endpoint {endpoint.name} answered 410 Gone at {endpoint.gone_at:%Y-%m-%d %H:%M} UTC and was "
            "deactivated; activate it again in the admin if that was a mistake, else delete it"
        )
    return (
        f"the webhook endpoint {endpoint.name} has failed since {endpoint.failing_since:%Y-%m-%d %H:%M} UTC; its "
        "deliveries in the admin say why"
    )
