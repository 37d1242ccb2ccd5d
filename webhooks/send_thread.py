"""A thread in each web process that sends deliveries if no broker is configured, since then there are no workers."""

import logging
import threading
import time

from django.conf import settings

from common.database_connections import release_connections
from webhooks.sending import send_due_deliveries

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 5.0


def start_sending_thread() -> None:
    """Start the thread, unless workers send, or threads are turned off by MUSICREC_MODEL_POLL_SECONDS."""
    if not settings.CELERY_BROKER_URL and settings.MUSICREC["MODEL_POLL_SECONDS"] > 0:
        threading.Thread(target=_send, name="webhooks", daemon=True).start()


def _send() -> None:
    while True:
        time.sleep(PAUSE_SECONDS)
        try:
            send_due_deliveries()
        except Exception:  # whatever it is, it must not end the thread
            logger.warning("webhooks could not be sent; the next attempt follows", exc_info=True)
        finally:
            release_connections()
