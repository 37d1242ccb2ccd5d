"""A cache of track cards (what a list shows of a track) in the memory of each process.

A card is cached as the JSON from which responses are assembled, and for as long as the catalogue's revision stays the
same.
"""

import threading
import time
from collections.abc import Collection
from typing import NamedTuple

import orjson

from tracks.selectors import track_cards_with_availability

MAX_CARDS = 20_000  # about 12 MB
MAX_AGE_SECONDS = 60.0  # for changes that do not bump the revision, such as SQL typed into a database console


class TrackCard(NamedTuple):
    """One track's card.

    `json` is the card without its closing brace, so that a response can append fields. `taken_down`, `markets` and
    `explicit` decide whether the track is available.
    """

    json: bytes
    title: str
    artist_id: int
    artist_name: str
    album_id: int | None
    taken_down: bool
    markets: str
    explicit: bool

    def is_available(self, market: str, allow_explicit: bool) -> bool:
        """Return the opposite of `tracks.availability.unavailable_filter` for this track."""
        if self.taken_down or (self.explicit and not allow_explicit):
            return False
        return not (market and self.markets) or market in self.markets


class TrackCardCache:
    """A cache that is shared by all threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reset(None)

    def get_cards(self, track_ids: Collection[int], revision: int | None) -> dict[int, TrackCard]:
        """Return the cards by track id, without tracks that do not exist. Cards not cached take one query.

        Args:
            track_ids: the tracks.
            revision: the catalogue's revision, as the caller has just read it.
        """
        cards = self._cards
        if revision != self._revision or time.monotonic() > self._expires_at:
            cards = self._reset(revision)
        missing = [track_id for track_id in track_ids if track_id not in cards]
        if not missing:
            return {track_id: cards[track_id] for track_id in track_ids}
        fetched = {
            fields["track_id"]: TrackCard(
                orjson.dumps(fields)[:-1],
                *(fields["title"], fields["artist_id"], fields["artist_name"], fields["album_id"]),
                *(taken_down, markets, fields["explicit"]),
            )
            for fields, taken_down, markets in track_cards_with_availability(missing)
        }
        result = {i: card for i in track_ids if (card := cards.get(i) or fetched.get(i))}
        if len(cards) + len(fetched) > MAX_CARDS:
            cards = self._reset(revision)
        cards.update(fetched)
        return result

    def clear(self) -> None:
        self._reset(None)

    def _reset(self, revision: int | None) -> dict[int, TrackCard]:
        with self._lock:
            self._cards: dict[int, TrackCard] = {}
            self._revision, self._expires_at = revision, time.monotonic() + MAX_AGE_SECONDS
            return self._cards


track_card_cache = TrackCardCache()
