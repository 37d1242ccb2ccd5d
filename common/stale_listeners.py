"""Ids of listeners whose precomputed recommendations are out of date, passed between processes in a Redis set.

The set is only a hint. If Redis loses it, those recommendations are computed when they are next requested.
"""

from collections.abc import Collection
from typing import Any

from django.conf import settings

from common.redis_client import call_redis, redis_client

REDIS_KEY = "listeners:changed:1"  # the number is the version of the format: ids in decimal digits
MAX_DIGITS = 19  # beyond this it is not the id of a row
MAX_LISTENERS = 100_000  # beyond this, arbitrary ids are dropped


def add_stale_listeners(user_ids: Collection[int]) -> None:
    """Add listeners to the set if anything is precomputed; do nothing while Redis does not answer."""
    if user_ids and settings.REDIS_URL and settings.MUSICREC["AHEAD_LISTENERS"]:
        call_redis(_add, user_ids, default=None)


def _add(user_ids: Collection[int]) -> None:
    redis = redis_client()
    redis.sadd(REDIS_KEY, *user_ids)
    excess = redis.scard(REDIS_KEY) - MAX_LISTENERS
    if excess > 0:
        redis.spop(REDIS_KEY, excess)


def pop_stale_listeners(count: int) -> list[int]:
    """Remove up to `count` ids from the set and return them in ascending order."""
    if not settings.REDIS_URL:
        return []
    pop: Any = redis_client().spop  # typed as if it returned a single member
    members: list[bytes] = call_redis(pop, REDIS_KEY, count, default=[])
    return sorted(int(member) for member in members if member.isdigit() and len(member) < MAX_DIGITS)
