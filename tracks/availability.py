"""Find the tracks that must not be recommended: unavailable in a country, taken down, explicit or blocked."""

from collections.abc import Iterable, Iterator

import numpy as np
from django.db.models import Q, QuerySet
from numpy.typing import NDArray

from tracks.models import Track, TrackTag

Ids = NDArray[np.int64]
BLOCKS_PER_QUERY = 500


def unavailable_filter(market: str, allow_explicit: bool) -> Q:
    """Return a filter for tracks that are taken down, not available in the market, or explicit if that is not allowed.

    Args:
        market: a country code, or "" if it is unknown, in which case markets are ignored.
        allow_explicit: whether explicit tracks are available.
    """
    unavailable = Q(taken_down_at__isnull=False)
    if market:
        unavailable |= ~Q(markets="") & ~Q(markets__contains=market)
    if not allow_explicit:
        unavailable |= Q(explicit=True)
    return unavailable


def unavailable_track_ids(market: str, allow_explicit: bool) -> Ids:
    """Return the ids of the unavailable tracks, int64 (n,), ascending."""
    tracks = Track.objects.filter(unavailable_filter(market, allow_explicit)).order_by("pk")
    return _to_array(tracks.values_list("pk", flat=True))


def iter_available_track_ids(market: str, allow_explicit: bool, after: int) -> Iterator[int]:
    """Yield the ids of the available tracks in ascending order, from the first one that is greater than `after`."""
    tracks = Track.objects.filter(~unavailable_filter(market, allow_explicit), pk__gt=after).order_by("pk")
    return tracks.values_list("pk", flat=True).iterator(chunk_size=500)


def blocked_track_ids(blocks: Iterable[tuple[str, int]]) -> Ids:
    """Return the ids of the tracks that blocks cover, int64 (n,), possibly with repeats.

    Args:
        blocks: pairs of a kind (artist, album, track or genre) and the id of the blocked object.
    """
    targets: dict[str, list[int]] = {"artist": [], "album": [], "track": [], "genre": []}
    for kind, target_id in blocks:
        targets[kind].append(target_id)
    ids = [np.array(targets["track"], np.int64)]
    if targets["artist"] or targets["album"]:
        tracks = Track.objects.filter(Q(artist__in=targets["artist"]) | Q(album__in=targets["album"]))
        ids.append(_to_array(tracks.values_list("pk", flat=True)))
    if targets["genre"]:
        track_tags = TrackTag.objects.filter(tag__in=targets["genre"])
        ids.append(_to_array(track_tags.values_list("track", flat=True)))
    return np.concatenate(ids)


def track_ids_by_block(blocks: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Ids]:
    """Return what each of many blocks covers, see `blocked_track_ids`, by few queries."""
    covered: dict[tuple[str, int], list[int]] = {block: [block[1]] if block[0] == "track" else [] for block in blocks}
    tracks = Track.objects.order_by("pk")
    sources = {
        "artist": (tracks, "artist", "pk"),
        "album": (tracks, "album", "pk"),
        "genre": (TrackTag.objects.order_by("track"), "tag", "track"),
    }
    for kind, (rows, target, track) in sources.items():
        target_ids = [target_id for block_kind, target_id in covered if block_kind == kind]
        for start in range(0, len(target_ids), BLOCKS_PER_QUERY):
            batch = rows.filter(**{f"{target}__in": target_ids[start : start + BLOCKS_PER_QUERY]})
            for target_id, track_id in batch.values_list(target, track).iterator():
                covered[kind, target_id].append(track_id)
    return {block: np.array(track_ids, np.int64) for block, track_ids in covered.items()}


def _to_array(ids: "QuerySet[Track, int] | QuerySet[TrackTag, int]") -> Ids:
    return np.fromiter(ids.iterator(), np.int64)
