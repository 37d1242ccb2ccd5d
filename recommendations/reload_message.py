"""The reload message: a hint to look at the pointer. It may be lost; looking every few seconds makes up for it."""

import logging
import time
from collections.abc import Iterator

import redis
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)
CHANNEL = "musicrec:model"
CONNECT_SECONDS = 1.0


def send_reload(version: str) -> None:
    """Tell every process, where there is a Redis to tell them through."""
    if not settings.REDIS_URL:
        return
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=CONNECT_SECONDS) as connection:
            heard = connection.publish(CHANNEL, version)
        logger.info("reload version=%s heard by %s processes", version, heard)
    except redis.RedisError as error:
        logger.warning("reload version=%s not sent (%s); processes will notice by themselves", version, error)


def ask_for_warming(version: str) -> None:
    """A worker computes ahead what active listeners will ask for; where there is none, it is computed when they ask."""
    if not (settings.CELERY_BROKER_URL and settings.REDIS_URL and settings.MUSICREC["AHEAD_LISTENERS"]):
        return
    try:
        current_app.send_task("recommendations.warm_active", [version], retry=False)
    except OperationalError as error:
        logger.warning("nothing is computed ahead for version=%s: %s", version, error)


def wait_for_reload(seconds: float) -> Iterator[None]:
    """Yields when a message came, when the subscription was made anew, and after `seconds` at the latest; for ever."""
    while True:
        if not settings.REDIS_URL:
            time.sleep(seconds)
            yield
            continue
        try:
            with redis.Redis.from_url(
                settings.REDIS_URL, socket_connect_timeout=CONNECT_SECONDS, health_check_interval=10
            ) as connection:
                subscription = connection.pubsub(ignore_subscribe_messages=True)
                subscription.subscribe(CHANNEL)
                while True:
                    yield
                    subscription.get_message(timeout=seconds)
        except (redis.RedisError, OSError):
            time.sleep(seconds)
            yield
