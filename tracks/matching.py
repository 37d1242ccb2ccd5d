"""Find the tracks of the catalogue that listens refer to by MBID, ISRC, or artist and title."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from tracks.models import Track

BATCH_SIZE = 5_000  # SQLite accepts 32,766 parameters per query
CountListeners = Callable[[Collection[int]], Mapping[int, int]]


class TrackQuery(NamedTuple):
    """The identifiers by which a client names a track; see `tracks.match_keys` for `match_key`."""

    mbid: UUID | None
    isrc: str
    match_key: str


def match_tracks(queries: Collection[TrackQuery], count_listeners: CountListeners) -> dict[TrackQuery, int]:
    """Return the track id of each query, found by MBID, else by ISRC, else by match key; unmatched ones are left out.

    Of tracks that share an MBID or ISRC, which are the same recording on several releases, the oldest is chosen: the
    choice must not change with the charts, because a listen that is reported again is recognized by its track.

    Args:
        queries: the tracks to find.
        count_listeners: returns the number of listeners of tracks by id. It is called for tracks that share a match
            key: the track with the most listeners is chosen, and the oldest among equals.
    """
    by_mbid = oldest_tracks("mbid", {q.mbid for q in queries if q.mbid})
    by_isrc = oldest_tracks("isrc", {q.isrc for q in queries if q.isrc and q.mbid not in by_mbid})
    keys = {q.match_key for q in queries if q.match_key and q.mbid not in by_mbid and q.isrc not in by_isrc}
    by_key = _most_popular(_find_ids("match_key", keys), count_listeners)
    matches = {q: by_mbid.get(q.mbid) or by_isrc.get(q.isrc) or by_key.get(q.match_key) for q in queries}
    return {query: track_id for query, track_id in matches.items() if track_id is not None}


def oldest_tracks(column: str, values: Iterable[Any]) -> dict[Any, int]:
    """Return the id of the oldest track of each value of a column, without values that no track has."""
    track_ids: dict[Any, int] = {}
    for value, track_id in _find_ids(column, values):
        track_ids.setdefault(value, track_id)
    return track_ids


def _find_ids(column: str, values: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Yield value and track id of the tracks whose column has one of the values, the oldest track first per batch."""
    ordered = sorted(values)
    for start in range(0, len(ordered), BATCH_SIZE):
        tracks = Track.objects.filter(**{f"{column}__in": ordered[start : start + BATCH_SIZE]})
        yield from tracks.order_by("pk").values_list(column, "pk")


def _most_popular(pairs: Iterable[tuple[str, int]], count_listeners: CountListeners) -> dict[str, int]:
    """Return the track with the most listeners for each key."""
    track_ids: dict[str, list[int]] = {}
    for key, track_id in pairs:
        track_ids.setdefault(key, []).append(track_id)
    ambiguous = {track_id for ids in track_ids.values() if len(ids) > 1 for track_id in ids}
    listeners = count_listeners(ambiguous) if ambiguous else {}
    return {
        key: min(ids, key=lambda track_id: (-listeners.get(track_id, 0), track_id)) for key, ids in track_ids.items()
    }
