"""What lists show of each track, kept in the memory of the process as long as the catalogue does not change.

A card is kept as the JSON that answers are put together from.
"""

import threading
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

import orjson

from tracks.selectors import track_cards_with_availability

MAX_CARDS = 20_000  # cards, some 12 MB
MAX_AGE_SECONDS = 60.0  # for what changes the catalogue without saying so: somebody at the database's own console


class TrackCard(NamedTuple):
    """json: the card, without its closing brace · title: for sentences · taken_down, markets, explicit: the terms on
    which it may be offered, as `tracks.availability.unavailable_filter` reads them."""

    json: bytes
    title: str
    taken_down: bool
    markets: str
    explicit: bool

    def is_available(self, market: str, allow_explicit: bool) -> bool:
        """The contrary of `tracks.availability.unavailable_filter`."""
        if self.taken_down or (self.explicit and not allow_explicit):
            return False
        return not (market and self.markets) or market in self.markets


class TrackCardCache:
    """One a process; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear(None)

    def get_cards(self, track_ids: Collection[int], revision: int | None) -> dict[int, TrackCard]:
        """By track id; a track that is not in the catalogue is not in it. At most one query, for those not known yet.

        revision: of the catalogue, as the caller has just read it.
        """
        kept = self._of(revision)
        if missing := [track_id for track_id in track_ids if track_id not in kept]:
            fetched = dict(_fetched(missing))
            if len(kept) + len(fetched) > MAX_CARDS:
                kept = self._clear(revision)
            kept.update(fetched)
            return {i: one for i in track_ids if (one := kept.get(i) or fetched.get(i))}
        return {i: kept[i] for i in track_ids}

    def forget(self) -> None:
        self._clear(None)

    def _of(self, revision: int | None) -> dict[int, TrackCard]:
        if revision != self._revision or time.monotonic() > self._until:
            return self._clear(revision)
        return self._kept

    def _clear(self, revision: int | None) -> dict[int, TrackCard]:
        with self._lock:
            self._kept: dict[int, TrackCard] = {}
            self._revision, self._until = revision, time.monotonic() + MAX_AGE_SECONDS
            return self._kept


def _fetched(track_ids: Iterable[int]) -> Iterable[tuple[int, TrackCard]]:
    for card, taken_down, markets in track_cards_with_availability(list(track_ids)):
        json = orjson.dumps(card)[:-1]
        yield card["track_id"], TrackCard(json, card["title"], taken_down, markets, card["explicit"])


track_card_cache = TrackCardCache()
