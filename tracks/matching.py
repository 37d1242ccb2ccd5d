"""Which track of the catalogue a listen is of, by what a client knows of it."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from tracks.models import Track

_AT_ONCE = 5_000  # SQLite takes 32,766 parameters a query
Popularity = Callable[[Collection[int]], Mapping[int, int]]


class TrackQuery(NamedTuple):
    """What is known of a track: the MusicBrainz recording, the ISRC, and `match_keys.match_key` of artist and title."""

    mbid: UUID | None
    isrc: str
    match_key: str


def match_tracks(sought: Collection[TrackQuery], popularity: Popularity) -> dict[TrackQuery, int]:
    """The track of each, by MBID, else by ISRC, else by key; what matches nothing is left out.

    popularity: listeners by track id, asked where a key is that of several tracks. The one with the most listeners is
    it, and of equals the oldest.
    """
    by_mbid = dict(_ids("mbid", {s.mbid for s in sought if s.mbid}))
    by_isrc = dict(_ids("isrc", {s.isrc for s in sought if s.isrc and s.mbid not in by_mbid}))
    left = [s for s in sought if s.mbid not in by_mbid and s.isrc not in by_isrc]
    by_key = _preferred(_ids("match_key", {s.match_key for s in left if s.match_key}), popularity)
    found = {s: by_mbid.get(s.mbid) or by_isrc.get(s.isrc) or by_key.get(s.match_key) for s in sought}
    return {s: track for s, track in found.items() if track is not None}


def _ids(column: str, values: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """`(value, track id)` of the tracks that have one of the values, the oldest first."""
    wanted = sorted(values)
    for start in range(0, len(wanted), _AT_ONCE):
        tracks = Track.objects.filter(**{f"{column}__in": wanted[start : start + _AT_ONCE]})
        yield from tracks.order_by("pk").values_list(column, "pk")


def _preferred(pairs: Iterable[tuple[str, int]], popularity: Popularity) -> dict[str, int]:
    tracks: dict[str, list[int]] = {}
    for key, track in pairs:
        tracks.setdefault(key, []).append(track)
    several = {track for ids in tracks.values() if len(ids) > 1 for track in ids}
    listeners = popularity(several) if several else {}
    return {key: min(ids, key=lambda track: (-listeners.get(track, 0), track)) for key, ids in tracks.items()}
