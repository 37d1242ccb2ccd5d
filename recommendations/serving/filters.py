"""The one filter stack: what must not be offered, whatever path an answer takes."""

import math
import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from interactions.selectors import History
from recommendations.serving.request_context import RequestContext
from tracks.availability import blocked_track_ids, unavailable_track_ids
from tracks.card_cache import TrackCard, track_card_cache

Ids = NDArray[np.int64]
FRESH_SECONDS = 30.0  # how old the list of unavailable tracks may be where nobody said that the catalogue has changed
AT_LEAST_SECONDS = 1.0  # how old it gets where somebody says so all the time; what it misses, `offered` catches
MOST_AUDIENCES = 64  # markets, with and without explicit tracks, that are kept


@dataclass(frozen=True)
class Audience:
    """Where, and whether explicit tracks are wanted."""

    market: str = ""
    allow_explicit: bool = True


@dataclass(frozen=True)
class Filters:
    """forbidden: ids of tracks that this listener must not be offered, int64 (k,) · unavailable: those of their
    audience, int64 (k,), one array for all who are of it · audience: looked at again when the tracks of an answer are
    read · catalogue: its revision."""

    forbidden: Ids
    unavailable: Ids
    audience: Audience
    catalogue: int | None

    def offered(self, track_ids: list[int]) -> dict[int, TrackCard]:
        """Those of the tracks that are there and may be offered, by id."""
        found = track_card_cache.get_cards(track_ids, self.catalogue)
        market, explicit = self.audience.market, self.audience.allow_explicit
        return {i: placard for i, placard in found.items() if placard.is_available(market, explicit)}


def filters_for(asked: RequestContext, past: History, market: str = "", explicit: bool = True) -> Filters:
    """Of a listener: dislikes, blocks, and what is unavailable to them. market, explicit: what the request says; a
    listener's own wish for no explicit tracks stays."""
    audience = Audience(market or asked.standing.market, asked.standing.allow_explicit and explicit)
    blocked = [_blocked(asked.catalogue, *block) for block in asked.blocks]
    unavailable = _unavailable.of(audience, asked.catalogue)
    return Filters(np.concatenate([*blocked, past.disliked_tracks]), unavailable, audience, asked.catalogue)


def invalidate_unavailable() -> None:
    """A track turned out to be unavailable: the lists are older than that."""
    _unavailable.outdated()


@lru_cache(maxsize=1024)
def _blocked(catalogue: int | None, kind: str, target_id: int) -> Ids:
    return blocked_track_ids([(kind, target_id)])


class _Unavailable:
    """Ids of unavailable tracks by audience, once a process."""

    def __init__(self) -> None:
        self._kept: dict[Audience, tuple[float, int | None, Ids]] = {}

    def outdated(self) -> None:
        """All are read again, and are the same arrays where nothing has changed."""
        self._kept = {audience: (-math.inf, None, ids) for audience, (_, _, ids) in self._kept.items()}

    def of(self, audience: Audience, catalogue: int | None) -> Ids:
        now = time.monotonic()
        made, revision, ids = self._kept.get(audience, (-math.inf, None, None))
        if ids is not None and now - made < (FRESH_SECONDS if revision == catalogue else AT_LEAST_SECONDS):
            return ids
        if ids is None and len(self._kept) >= MOST_AUDIENCES:
            self._kept = {}
        found = unavailable_track_ids(audience.market, audience.allow_explicit)
        if ids is None or not np.array_equal(found, ids):  # the engine knows an array that it has seen again
            ids = found
            ids.setflags(write=False)
        self._kept[audience] = now, catalogue, ids
        return ids


_unavailable = _Unavailable()
