"""The tracks that a listener must not be offered, whatever path the answer takes."""

import math
import time
from dataclasses import dataclass

import numpy as np
from cachetools.func import ttl_cache
from numpy.typing import NDArray

from recommendations.serving.request_context import RecommendationRequest, RequestContext
from tracks.availability import blocked_track_ids, unavailable_track_ids
from tracks.card_cache import TrackCard, track_card_cache

Ids = NDArray[np.int64]
MAX_AGE_SECONDS = 30.0  # of a list of unavailable tracks while the catalogue has the same revision
MIN_AGE_SECONDS = 1.0  # of such a list while the catalogue keeps changing; `Filters.available` catches what it misses
MAX_AUDIENCES = 64  # lists kept at a time
BLOCK_SECONDS = 60.0  # the age of a block's tracks, for changes that do not bump the revision, such as typed SQL


@dataclass(frozen=True)
class Audience:
    """A market ("" if unknown), and whether explicit tracks are welcome."""

    market: str = ""
    allow_explicit: bool = True


@dataclass(frozen=True)
class Filters:
    """What one answer must leave out.

    Attributes:
        forbidden: int64 (k,), ids of tracks that the listener dislikes or blocks.
        unavailable: int64 (k,), ids of tracks that the audience must not be offered; one array shared by its requests.
        audience: checked again when the cards of the picked tracks are read.
        catalogue_revision: the revision that the request saw.
    """

    forbidden: Ids
    unavailable: Ids
    audience: Audience
    catalogue_revision: int | None

    def available(self, track_ids: list[int]) -> dict[int, TrackCard]:
        """Return the cards of those tracks that exist and may be offered now, by id."""
        cards = track_card_cache.get_cards(track_ids, self.catalogue_revision)
        market, allow_explicit = self.audience.market, self.audience.allow_explicit
        return {i: card for i, card in cards.items() if card.is_available(market, allow_explicit)}


def build_filters(request: RecommendationRequest, context: RequestContext, exclude: Ids) -> Filters:
    """Collect dislikes, blocks, unavailable tracks and the tracks in `exclude`.

    The market of the request takes the place of the listener's own; explicit tracks need the consent of both.
    """
    history = context.history.pairs
    audience = Audience(request.market or context.settings.market, context.settings.allow_explicit and request.explicit)
    blocked = [_blocked_track_ids(context.revisions.catalogue, *block) for block in context.blocks]
    forbidden = np.concatenate([*blocked, history.track[history.disliked], exclude])
    unavailable = unavailable_tracks.get(audience, context.revisions.catalogue)
    return Filters(forbidden, unavailable, audience, context.revisions.catalogue)


@ttl_cache(maxsize=1024, ttl=BLOCK_SECONDS)
def _blocked_track_ids(catalogue_revision: int | None, kind: str, target_id: int) -> Ids:
    return blocked_track_ids([(kind, target_id)])


class UnavailableTracks:
    """Cache the ids of unavailable tracks of each audience.

    A list that did not change stays the same array: the engine recognizes an array and keeps its mask.
    """

    def __init__(self) -> None:
        self._entries: dict[Audience, tuple[float, int | None, Ids]] = {}

    def get(self, audience: Audience, catalogue_revision: int | None) -> Ids:
        """Return the ids, int64 (k,), read again if they are too old."""
        now = time.monotonic()
        read_at, revision, ids = self._entries.get(audience, (-math.inf, None, None))
        if ids is not None and now - read_at < (MAX_AGE_SECONDS if revision == catalogue_revision else MIN_AGE_SECONDS):
            return ids
        if ids is None and len(self._entries) >= MAX_AUDIENCES:
            self._entries = {}
        current = unavailable_track_ids(audience.market, audience.allow_explicit)
        if ids is None or not np.array_equal(current, ids):
            ids = current
            ids.setflags(write=False)
        self._entries[audience] = now, catalogue_revision, ids
        return ids

    def expire(self) -> None:
        """Read every list again at its next use, because a track turned out to be unavailable."""
        self._entries = {audience: (-math.inf, None, ids) for audience, (_, _, ids) in self._entries.items()}


unavailable_tracks = UnavailableTracks()
