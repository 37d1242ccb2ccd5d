from celery import shared_task

from webhooks.sending import send_due_deliveries

MINUTE = 60


@shared_task(name="webhooks.send_deliveries", time_limit=5 * MINUTE)  # type: ignore[untyped-decorator]
def send_deliveries() -> str:
    """Send the webhook deliveries that are due."""
    return send_due_deliveries()
