"""Which tracks may be offered: to whom, where, and at all."""

from collections.abc import Iterable

import numpy as np
from django.db.models import Q
from numpy.typing import NDArray

from tracks.models import Track, TrackTag

Ids = NDArray[np.int64]


def unavailable_filter(market: str, allow_explicit: bool) -> Q:
    """Tracks taken down, not offered in `market` ("" for an unknown one, in which nothing is held back), or explicit
    where that is not wanted."""
    held_back = Q(taken_down_at__isnull=False)
    if market:
        held_back |= ~Q(markets="") & ~Q(markets__contains=market)
    return held_back if allow_explicit else held_back | Q(explicit=True)


def unavailable_track_ids(market: str, allow_explicit: bool) -> Ids:
    """In ascending order."""
    found = Track.objects.filter(unavailable_filter(market, allow_explicit)).order_by("pk")
    return _ids(found.values_list("pk", flat=True).iterator())


def blocked_track_ids(blocks: Iterable[tuple[str, int]]) -> Ids:
    """Tracks of these artists, albums and genres, and these tracks: int64 (k,), repeats possible."""
    by_kind: dict[str, list[int]] = {"artist": [], "album": [], "track": [], "genre": []}
    for kind, target in blocks:
        by_kind[kind].append(target)
    found = [np.array(by_kind["track"], np.int64)]
    if by_kind["artist"] or by_kind["album"]:
        made = Track.objects.filter(Q(artist__in=by_kind["artist"]) | Q(album__in=by_kind["album"]))
        found.append(_ids(made.values_list("pk", flat=True).iterator()))
    if by_kind["genre"]:
        found.append(_ids(TrackTag.objects.filter(tag__in=by_kind["genre"]).values_list("track", flat=True).iterator()))
    return np.concatenate(found)


def _ids(numbers: Iterable[int]) -> Ids:
    return np.fromiter(numbers, np.int64)
