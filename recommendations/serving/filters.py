"""The tracks that a listener must not be offered, whatever path the answer takes."""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from cachetools.func import ttl_cache
from numpy.typing import NDArray

from recommendations.serving.request_context import RecommendationRequest, RequestContext
from tracks.availability import blocked_track_ids, iter_available_track_ids, unavailable_track_ids
from tracks.card_cache import TrackCard, track_card_cache
from tracks.models import Tag
from tracks.selectors import find_tags, load_track_ids, load_track_ids_of_tags

Ids = NDArray[np.int64]
MAX_AGE_SECONDS = 30.0  # of a list of unavailable tracks while the catalogue has the same revision
MIN_AGE_SECONDS = 1.0  # of such a list while the catalogue keeps changing; `Filters.available` catches what it misses
DELETED_SECONDS = 3600.0  # after which deleted tracks count as existing again, in case a backup brought them back
MAX_AUDIENCES = 64  # lists kept at a time
NO_IDS = np.zeros(0, np.int64)
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
        forbidden: int64 (k,), ids of tracks that the listener blocks, and of those to leave out for another reason.
        unavailable: int64 (k,), ids of tracks that an audience must not be offered; one array shared by its requests.
        audiences: all of which must be allowed a track; checked again when the cards of the picked tracks are read.
        catalogue_revision: the revision that the request saw.
    """

    forbidden: Ids
    unavailable: Ids
    audiences: tuple[Audience, ...]
    catalogue_revision: int | None

    def available(self, track_ids: list[int]) -> dict[int, TrackCard]:
        """Return the cards of those tracks that exist and may be offered now, by id."""
        cards = track_card_cache.get_cards(track_ids, self.catalogue_revision)
        return {
            i: card
            for i, card in cards.items()
            if all(card.is_available(audience.market, audience.allow_explicit) for audience in self.audiences)
        }

    @property
    def are_current(self) -> bool:
        """Whether the unavailable tracks were read at the catalogue's current revision."""
        return all(unavailable_tracks.revision(audience) == self.catalogue_revision for audience in self.audiences)

    def reload_unavailable(self, gone: list[int], track_ids: Ids) -> Ids:
        """Return unavailable and deleted tracks as the database has them now; see `UnavailableTracks.reload`."""
        return unavailable_tracks.reload(self.audiences, self.catalogue_revision, gone, track_ids)

    def iter_unlisted(self, after: int) -> Iterator[int]:
        """Yield the ids of all available tracks that are greater than `after`, from the database.

        Those that only the first audience may be offered are among them; `available` leaves them out.
        """
        first = self.audiences[0]
        return iter_available_track_ids(first.market, first.allow_explicit, after)


def build_filters(request: RecommendationRequest, context: RequestContext, exclude: Ids) -> Filters:
    """Collect blocks, unavailable tracks and the tracks in `exclude`; dislikes are a part of the listener's history."""
    return build_group_filters(request, [context], exclude)


def build_group_filters(
    request: RecommendationRequest, contexts: Sequence[RequestContext], exclude: Ids = NO_IDS
) -> Filters:
    """Collect what at least one of several listeners must not be offered.

    The market of the request takes the place of the listeners' own; explicit tracks need the consent of all.
    """
    explicit = request.explicit and all(context.settings.allow_explicit for context in contexts)
    markets = {request.market or context.settings.market for context in contexts}
    audiences = tuple(Audience(market, explicit) for market in sorted(markets))
    revision = contexts[0].revisions.catalogue
    blocks = sorted({block for context in contexts for block in context.blocks})
    forbidden = np.concatenate([*(_blocked_track_ids(revision, *block) for block in blocks), exclude])
    return Filters(forbidden, unavailable_tracks.get_all(audiences, revision), audiences, revision)


@ttl_cache(maxsize=1024, ttl=BLOCK_SECONDS)
def _blocked_track_ids(catalogue_revision: int | None, kind: str, target_id: int) -> Ids:
    return blocked_track_ids([(kind, target_id)])


@ttl_cache(maxsize=256, ttl=BLOCK_SECONDS)
def find_genre_tracks(catalogue_revision: int | None, genre: int | str) -> Ids | None:
    """Return the ids of the tracks of a genre or another tag, int64 (k,); None if there is no such tag.

    As long as nothing has changed it is the same array, which the engine recognizes.

    Args:
        genre: the id of a tag, or the name of one or several, however it is written.
    """
    if isinstance(genre, int):
        tag_ids = list(Tag.objects.filter(pk=genre).values_list("pk", flat=True))
    else:
        tag_ids = [tag.pk for tag in find_tags(genre)]
    if not tag_ids:
        return None
    track_ids = load_track_ids_of_tags(tag_ids)
    track_ids.setflags(write=False)
    return track_ids


class UnavailableTracks:
    """Cache the ids of unavailable tracks of each audience, and of deleted tracks.

    A list that did not change stays the same array: the engine recognizes an array and keeps its mask.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._entries: dict[Audience, tuple[float, int | None, Ids]] = {}
        self._unions: dict[tuple[Audience, ...], tuple[list[Ids], Ids]] = {}
        self._deleted = np.zeros(0, np.int64)
        self._deleted_read_at, self._checked_ids = -math.inf, self._deleted

    def get(self, audience: Audience, catalogue_revision: int | None) -> Ids:
        """Return the ids, int64 (k,), read again if they are too old."""
        now = time.monotonic()
        read_at, revision, ids = self._entries.get(audience, (-math.inf, None, None))
        if ids is not None and now - read_at < (MAX_AGE_SECONDS if revision == catalogue_revision else MIN_AGE_SECONDS):
            return ids
        if ids is None and len(self._entries) >= MAX_AUDIENCES:
            self._entries = {}
        current = unavailable_track_ids(audience.market, audience.allow_explicit)
        if len(self._deleted) and now - self._deleted_read_at < DELETED_SECONDS:
            current = np.union1d(current, self._deleted)
        if ids is None or not np.array_equal(current, ids):
            ids = current
            ids.setflags(write=False)
        self._entries[audience] = now, catalogue_revision, ids
        return ids

    def get_all(self, audiences: tuple[Audience, ...], catalogue_revision: int | None) -> Ids:
        """Return the ids of the tracks that at least one of several audiences must not be offered, int64 (k,)."""
        lists = [self.get(audience, catalogue_revision) for audience in audiences]
        if len(lists) == 1:
            return lists[0]
        of_lists, union = self._unions.get(audiences, ([], NO_IDS))
        if list(map(id, of_lists)) != list(map(id, lists)):
            union = np.unique(np.concatenate(lists))
            union.setflags(write=False)
            if len(self._unions) >= MAX_AUDIENCES:
                self._unions = {}
            self._unions[audiences] = lists, union
        return union

    def revision(self, audience: Audience) -> int | None:
        """Return the revision of the catalogue that the list of an audience belongs to."""
        return self._entries[audience][1] if audience in self._entries else None

    def reload(
        self, audiences: tuple[Audience, ...], catalogue_revision: int | None, gone: list[int], track_ids: Ids
    ) -> Ids:
        """Return the ids as the database has them now, together with those of `track_ids` that were deleted.

        Finding the deleted ones reads the ids of the whole catalogue, which takes a second for a million tracks. It is
        done only if some of `gone` were deleted. Later requests get them as well.

        Args:
            gone: tracks that cannot be offered.
            track_ids: all tracks of a bundle, int64 (n,), always the same array.
        """
        self.expire()
        unavailable = self.get_all(audiences, catalogue_revision)
        if np.isin(gone, unavailable).all():
            return unavailable
        with self._lock:  # of many requests that notice a mass deletion, one reads the ids
            is_recent = time.monotonic() - self._deleted_read_at < MIN_AGE_SECONDS
            if not (is_recent and self._checked_ids is track_ids):
                self._deleted = track_ids[np.isin(track_ids, load_track_ids(), invert=True)]
                self._deleted_read_at, self._checked_ids = time.monotonic(), track_ids
        self.expire()
        return self.get_all(audiences, catalogue_revision)

    def expire(self) -> None:
        """Read every list again at its next use, because a track turned out to be unavailable."""
        self._entries = {audience: (-math.inf, None, ids) for audience, (_, _, ids) in self._entries.items()}


unavailable_tracks = UnavailableTracks()
