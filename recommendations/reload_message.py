"""The reload message, which hints that the pointer has changed.

A message may be lost, and there may be no Redis: processes also check the pointer every few seconds.
"""

import logging
import time
from collections.abc import Iterator

from django.conf import settings
from redis import RedisError

from common.redis_client import create_client

logger = logging.getLogger(__name__)
CHANNEL = "musicrec:model"
TIMEOUT_SECONDS = 1.0  # to connect, and again for each response


def send_reload(version: str) -> None:
    """Tell all processes that `version` was published. Does nothing without Redis, and never raises."""
    if not settings.REDIS_URL:
        return
    try:
        with create_client(settings.REDIS_URL, TIMEOUT_SECONDS) as connection:
            receivers = connection.publish(CHANNEL, version)
        logger.info("reload version=%s received by %s processes", version, receivers)
    except RedisError as error:
        logger.warning("reload version=%s not sent (%s); processes notice the new pointer themselves", version, error)


def wait_for_reload(seconds: float) -> Iterator[None]:
    """Yield forever: when a message arrives, after subscribing anew, and after `seconds` at the latest."""
    while True:
        if not settings.REDIS_URL:
            time.sleep(seconds)
            yield
            continue
        try:
            with create_client(settings.REDIS_URL, TIMEOUT_SECONDS) as connection:
                subscription = connection.pubsub(ignore_subscribe_messages=True)
                subscription.subscribe(CHANNEL)
                while True:
                    yield
                    subscription.get_message(timeout=seconds)
        except (RedisError, OSError):
            time.sleep(seconds)
            yield
