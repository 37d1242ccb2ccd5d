"""A thread in each web process that watches over training and webhooks: beat and the workers may be what is away."""

import logging
import threading
import time

from django.conf import settings

from common.database_connections import release_connections
from recommendations import services
from recommendations.tasks import train_model

logger = logging.getLogger(__name__)


def start_watching() -> None:
    """Start the thread, unless threads are turned off by MUSICREC_MODEL_POLL_SECONDS."""
    if settings.MUSICREC["MODEL_POLL_SECONDS"] > 0:
        threading.Thread(target=_watch, name="training-watch", daemon=True).start()


def _watch() -> None:
    while True:
        time.sleep(settings.MUSICREC["WATCH_SECONDS"])
        try:
            services.watch_training(train_model)
            services.watch_webhooks()
        except Exception:  # whatever it is, it must not end the thread
            logger.warning("training could not be watched; the next attempt follows", exc_info=True)
        finally:
            release_connections()
