"""Whose answers are other ones from now on: a hint between processes, lost with Redis and then not missed."""

from collections.abc import Collection

from django.conf import settings

from common.cache_keys import shared

CHANGED = "listeners:changed"
_MOST = 100_000  # waiting; of more, some are forgotten


def note_changed(user_ids: Collection[int]) -> None:
    """Costs one round trip, and no error."""
    if settings.REDIS_URL and settings.MUSICREC["AHEAD_LISTENERS"]:
        shared().add_members(CHANGED, user_ids, _MOST)


def changed_listeners(most: int) -> list[int]:
    """Takes out up to `most`, ascending."""
    return sorted(int(member) for member in shared().pop_members(CHANGED, most))
