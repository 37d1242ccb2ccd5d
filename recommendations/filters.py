"""The one filter stack: what must not be offered, whatever path an answer takes."""

import time
from dataclasses import dataclass

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from interactions.selectors import History, Standing
from tracks.availability import tracks_of, unavailable, unavailable_ids

Ids = NDArray[np.int64]
FRESH_SECONDS = 30.0  # how old the list of unavailable tracks may be; what it misses, `held_back` catches
MOST_AUDIENCES = 64  # markets, with and without explicit tracks, that are kept


@dataclass(frozen=True)
class Audience:
    """Where, and whether explicit tracks are wanted."""

    market: str = ""
    allow_explicit: bool = True


@dataclass(frozen=True)
class Filters:
    """forbidden: ids of tracks never to offer, int64 (k,) · audience: what else is held back, looked at again when the
    tracks of an answer are read."""

    forbidden: Ids
    audience: Audience

    @property
    def held_back(self) -> Q:
        return unavailable(self.audience.market, self.audience.allow_explicit)


def filters_for(standing: Standing, past: History, market: str = "", explicit: bool = True) -> Filters:
    """Of a listener: dislikes, blocks, and what is unavailable to them. market, explicit: what the request says; a
    listener's own wish for no explicit tracks stays."""
    audience = Audience(market or standing.market, standing.allow_explicit and explicit)
    return Filters(np.concatenate([_unavailable.of(audience), tracks_of(standing.blocks), past.disliked]), audience)


def look_again() -> None:
    """A track turned out to be unavailable: the lists are older than that."""
    _unavailable.forget()


class _Unavailable:
    """Ids of unavailable tracks by audience, once a process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._kept: dict[Audience, tuple[float, Ids]] = {}

    def of(self, audience: Audience) -> Ids:
        now = time.monotonic()
        until, ids = self._kept.get(audience, (0.0, None))
        if ids is None or now > until:
            if len(self._kept) >= MOST_AUDIENCES:
                self.forget()
            ids = unavailable_ids(audience.market, audience.allow_explicit)
            self._kept[audience] = now + FRESH_SECONDS, ids
        return ids


_unavailable = _Unavailable()
