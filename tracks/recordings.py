"""Find the tracks that are the same recording, so that a slate offers it once.

A single, its album and a compilation often contain the same recording, as a track each. Two tracks count as the same
recording if they share an ISRC, a recording's MBID, or the artist, the normalised title and the length; and so do
tracks that are connected by such pairs. Titles are normalised by `tracks.match_keys`: remastered editions are the same
recording, while live versions and remixes have other titles.
"""

import sys
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

import numpy as np
import scipy.sparse as sp
from django.db.models import Count, Q, QuerySet
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from tracks.match_keys import SEPARATOR
from tracks.models import Track

Ids = NDArray[np.int64]
SAME_LENGTH_MS = 3_000  # releases of one recording differ by silence at its ends, and in rounding
MAX_RELEASES = 100  # an identifier of more tracks than this is taken for a placeholder
# Titles that an artist gives to many recordings. Tracks with one of them are the same only if their lengths say so.
COMMON_TITLES = frozenset(
    [
        *("intro", "introduction", "outro", "interlude", "skit", "prelude", "overture", "reprise", "intermission"),
        *("untitled", "unknown", "hidden track", "bonus track", "instrumental", "jam"),
    ]
)
_COLUMNS = ("isrc", "mbid", "match_key")
_BATCH_SIZE = 2_000  # ids or values in a query: for many more, PostgreSQL would rather read the whole table
_SPARSE = 20  # where fewer than one in so many tracks are wanted, reading the whole catalogue takes longer
_MAX_ROUNDS = 5


def load_recordings(track_ids: Ids) -> Ids:
    """Return the recording of each track: the lowest id of the tracks that are the same recording.

    The tracks need not be the whole catalogue; those that are the same recordings are read with them.

    Args:
        track_ids: int64 (k,), distinct.

    Returns:
        int64 (k,); the id itself for a track that is the only one of its recording.
    """
    is_large_part = len(track_ids) > _BATCH_SIZE and len(track_ids) * _SPARSE > Track.objects.count()
    pairs = list(_pairs(Track.objects.all()) if is_large_part else _pairs_around(track_ids.tolist()))
    if not pairs:
        return track_ids.copy()
    one, other = np.array(pairs, np.int64).T
    nodes = np.unique(np.concatenate([one, other, track_ids]))
    n, edges = len(nodes), (nodes.searchsorted(one), nodes.searchsorted(other))
    _, component = connected_components(sp.coo_matrix((np.ones(len(one), np.bool_), edges), (n, n)), directed=False)
    _, lowest = np.unique(component, return_index=True)  # the first of each component, for the nodes are ascending
    recordings: Ids = nodes[lowest[component[nodes.searchsorted(track_ids)]]]
    return recordings


def _pairs_around(track_ids: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of the same recording among tracks and all those that are connected with them.

    Values go through Python between the queries, because only for lists of them the database is sure to use its
    indexes: a catalogue of a million tracks is not read, nor joined with itself.
    """
    known: set[int] = set()
    new = set(track_ids)
    for _ in range(_MAX_ROUNDS):  # more than two are needed only where identifiers contradict each other
        known |= new
        ids, pairs = sorted(new), list[tuple[int, int]]()
        for start in range(0, len(ids), _BATCH_SIZE):
            pairs += _pairs_with(ids[start : start + _BATCH_SIZE])
        yield from pairs
        new = set(chain.from_iterable(pairs)) - known
        if not new:
            return


def _pairs_with(track_ids: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield pairs of the same recording that share a value with one of a batch of tracks."""
    values = Track.objects.filter(pk__in=track_ids).values_list(*_COLUMNS)
    for column, of_column in zip(_COLUMNS, zip(*values, strict=True), strict=False):
        with_values = Track.objects.filter(**{f"{column}__in": set(of_column) - {None, ""}})
        shared = list(_shared_values(with_values, column).values_list(column, flat=True))
        yield from _connect_rows(column, Track.objects.filter(**{f"{column}__in": shared}))


def _pairs(tracks: QuerySet[Track]) -> Iterator[tuple[int, int]]:
    """Yield pairs of ids, enough to connect those of the tracks that are the same recording."""
    for column in _COLUMNS:
        shared = _shared_values(tracks.exclude(_is_unknown(column)), column)
        yield from _connect_rows(column, tracks.filter(**{f"{column}__in": shared.values(column)}))


def _shared_values(tracks: QuerySet[Track], column: str) -> QuerySet[Track, dict[str, Any]]:
    """Select the values of a column that several of the tracks have, except for placeholders."""
    most = sys.maxsize if column == "match_key" else MAX_RELEASES
    by_value = tracks.order_by().values(column).annotate(tracks=Count("pk"))
    shared: QuerySet[Track, dict[str, Any]] = by_value.filter(tracks__gt=1, tracks__lte=most)
    return shared


def _connect_rows(column: str, tracks: QuerySet[Track]) -> Iterator[tuple[int, int]]:
    """Yield pairs of the same recording by a column among the tracks, which are all that have some of its values."""
    if column == "match_key":
        named = tracks.values_list("match_key", "artist_id", "duration_ms", "pk")
        in_order = named.order_by("match_key", "artist_id", "pk").iterator()
        for (match_key, _), rows in groupby(in_order, key=itemgetter(0, 1)):
            title = match_key.partition(SEPARATOR)[2]
            yield from chain.from_iterable(map(_connect, _group_by_length(title, list(rows))))
    else:
        identified = tracks.values_list(column, "pk").order_by(column, "pk").iterator()
        for _, group in groupby(identified, key=itemgetter(0)):
            yield from _connect([pk for _, pk in group])


def _is_unknown(column: str) -> Q:
    return Q(match_key="") if column == "match_key" else Q(**{f"{column}__isnull": True})


def _group_by_length(title: str, rows: Iterable[Any]) -> list[list[int]]:
    """Return the ids of tracks of one artist and title in groups of the same length.

    Tracks of unknown length belong to the only group, if there is just one and the title is no common one.
    """
    lengths = sorted((duration_ms, pk) for *_, duration_ms, pk in rows if duration_ms is not None)
    unknown = [pk for *_, duration_ms, pk in rows if duration_ms is None]
    groups: list[list[int]] = []
    previous = -SAME_LENGTH_MS - 1
    for duration_ms, pk in lengths:
        if duration_ms - previous > SAME_LENGTH_MS:
            groups.append([])
        groups[-1].append(pk)
        previous = duration_ms
    if title not in COMMON_TITLES and len(groups) < 2:
        return [[pk for group in groups for pk in group] + unknown]
    return groups


def _connect(ids: list[int]) -> Iterator[tuple[int, int]]:
    return ((ids[0], other) for other in ids[1:])
