"""Whose answers are other ones from now on: a hint between processes, lost with Redis and then not missed."""

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.core.cache import cache

CHANGED = "listeners:changed"
_MOST = 100_000  # waiting; more are not noted


def note_changed(user_ids: Collection[int]) -> None:
    """Costs one round trip, and no error."""
    if settings.REDIS_URL and settings.MUSICREC["AHEAD_LISTENERS"]:
        _far().add_members(CHANGED, user_ids, _MOST)


def changed_listeners(most: int) -> list[int]:
    """Takes out up to `most`, ascending."""
    return sorted(int(member) for member in _far().pop_members(CHANGED, most))


def _far() -> Any:
    return cache  # one of musicrec.cache
