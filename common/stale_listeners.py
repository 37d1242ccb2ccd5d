"""Whose answers are other ones from now on: a hint between processes, lost with Redis and then not missed."""

from collections.abc import Collection

from django.conf import settings

from common.cache_keys import shared_cache

REDIS_KEY = "listeners:changed"
_MOST = 100_000  # waiting; of more, some are forgotten


def add_stale_listeners(user_ids: Collection[int]) -> None:
    """Costs one round trip, and no error."""
    if settings.REDIS_URL and settings.MUSICREC["AHEAD_LISTENERS"]:
        shared_cache().add_members(REDIS_KEY, user_ids, _MOST)


def pop_stale_listeners(most: int) -> list[int]:
    """Takes out up to `most`, ascending."""
    return sorted(int(member) for member in shared_cache().pop_members(REDIS_KEY, most))
