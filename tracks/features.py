"""Read the catalogue as arrays, for the engine."""

import sys
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from numpy.typing import ArrayLike, NDArray

from common.database_columns import NULL, read_columns
from engine.data.content_features import DENSE_FEATURES, ContentFeatures, Embedding
from engine.data.id_map import IdMap
from engine.data.track_features import NO_DATE, UNKNOWN_ID, TrackFeatures
from tracks.models import Track, TrackTag, TrackVector
from tracks.recordings import load_recordings
from tracks.vectors import STORED_DTYPE

Ids = NDArray[np.int64]
MAX_IDS_PER_QUERY = 10_000  # SQLite accepts 32,766 parameters
SPARSE = 20  # where fewer than one in so many ids of a range are wanted, reading the whole range takes longer
TRACKS_PER_CHUNK = 100_000
VECTOR_BYTES_PER_CHUNK = 64 << 20


class _SparseColumns(NamedTuple):
    """Entries of the sparse matrix of one kind, k of them: rows int64 (k,), ids int64 (k,) and values (k,)."""

    kind: str
    rows: Ids
    ids: Ids
    values: NDArray[np.floating]


def load_track_features(track_ids: ArrayLike) -> TrackFeatures:
    """Return the features of tracks, one row for each distinct id in ascending order.

    Tracks that do not exist, because they have just been deleted, are unknown. If only the year of an album is known,
    its first of January is the date of release.

    Args:
        track_ids: int64 (n,).
    """
    items = IdMap.from_ids(track_ids)
    artist, album = np.full(len(items), UNKNOWN_ID, np.int64), np.full(len(items), UNKNOWN_ID, np.int64)
    released, added = np.full(len(items), NO_DATE, np.int32), np.zeros(len(items), np.int64)
    columns: list[tuple[Any, Any]] = [("pk", int), ("artist_id", int), ("album_id", int), *_DATE_COLUMNS]
    for tracks in _chunks(Track.objects.order_by(), "pk", items.ids, TRACKS_PER_CHUNK):
        ids, artists, albums, days, years, created = read_columns(tracks, [*columns, ("created_at", datetime)])
        rows, is_known = items.rows(ids)
        at = rows[is_known]
        artist[at] = artists[is_known]
        album[at] = np.where(albums == NULL, UNKNOWN_ID, albums)[is_known]
        released[at] = _release_days(days, years)[is_known]
        added[at] = created[is_known]
    return TrackFeatures(artist, album, load_recordings(items.ids), released, added)


def load_content_features(track_ids: ArrayLike) -> ContentFeatures:
    """Return tags, artist, album, year, sound and embeddings of tracks, a row for each distinct id in ascending order.

    The weight of a tag is that of the catalogue. Of tracks that do not exist nothing is known.

    Args:
        track_ids: int64 (n,).
    """
    items = IdMap.from_ids(track_ids)
    dense = np.full((len(items), len(DENSE_FEATURES)), np.nan, np.float32)
    parts: list[_SparseColumns] = []
    columns: list[tuple[Any, Any]] = [("pk", int), ("artist_id", int), ("album_id", int), *_DATE_COLUMNS]
    columns += [(name, float) for name in DENSE_FEATURES]
    for tracks in _chunks(Track.objects.order_by(), "pk", items.ids, TRACKS_PER_CHUNK):
        ids, artists, albums, days, years, *sound = read_columns(tracks, columns)
        rows, is_known = items.rows(ids)
        dense[rows[is_known]] = np.column_stack(sound)[is_known]
        released = _release_days(days, years)
        year = released.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
        has_date, has_album = is_known & (released != NO_DATE), is_known & (albums != NULL)
        parts += [
            _SparseColumns("artist", rows[is_known], artists[is_known], np.ones(is_known.sum())),
            _SparseColumns("album", rows[has_album], albums[has_album], np.ones(has_album.sum())),
            _SparseColumns("year", rows[has_date], year[has_date], np.ones(has_date.sum())),
            _SparseColumns("decade", rows[has_date], year[has_date] // 10 * 10, np.ones(has_date.sum())),
        ]
    for tags in _chunks(TrackTag.objects.order_by(), "track_id", items.ids, TRACKS_PER_CHUNK):
        ids, tag_ids, weights = read_columns(tags, [("track_id", int), ("tag_id", int), ("weight", float)])
        rows, is_known = items.rows(ids)
        parts.append(_SparseColumns("tag", rows[is_known], tag_ids[is_known], weights[is_known]))
    names, sparse = _to_matrix(parts, len(items))
    return ContentFeatures(items.ids, names, sparse, dense, _load_embeddings(items))


def _chunks(rows: QuerySet[Any], column: str, track_ids: Ids, size: int) -> Iterator[QuerySet[Any]]:
    """Yield queries for the rows whose column is one of the ids, int64 (n,), ascending.

    For many ids that are close together, the rows of all tracks in a range of ids are read.
    """
    n = len(track_ids)
    if not n:
        return
    first_id, last_id = int(track_ids[0]), int(track_ids[-1])
    if n <= MAX_IDS_PER_QUERY or n * SPARSE < last_id - first_id:
        for start in range(0, n, MAX_IDS_PER_QUERY):
            yield rows.filter(**{f"{column}__in": track_ids[start : start + MAX_IDS_PER_QUERY].tolist()})
        return
    for first in range(first_id, last_id + 1, size):
        yield rows.filter(**{f"{column}__gte": first, f"{column}__lte": min(first + size - 1, last_id)})


_DATE_COLUMNS: list[tuple[Any, Any]] = [(Coalesce("released_on", "album__released_on"), date), ("album__year", int)]


def _release_days(days: Ids, years: Ids) -> NDArray[np.int32]:
    """Return days since 1970-01-01, int32 (k,): of the date if there is one, else of the first day of the year."""
    has_year = years != NULL
    of_year = (np.where(has_year, years, 1970) - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return np.where(days != NULL, days, np.where(has_year, of_year, NO_DATE)).astype(np.int32)


def _to_matrix(parts: list[_SparseColumns], n: int) -> tuple[tuple[str, ...], sp.csr_matrix]:
    """Return the names of the columns, `kind:id`, and the matrix, float32 (n, columns)."""
    names: list[str] = []
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    values: list[NDArray[np.floating]] = [np.zeros(0)]
    for kind in dict.fromkeys(part.kind for part in parts):
        of_kind = [part for part in parts if part.kind == kind]
        ids, positions = np.unique(np.concatenate([part.ids for part in of_kind]), return_inverse=True)
        columns.append(len(names) + positions)
        rows += [part.rows for part in of_kind]
        values += [part.values for part in of_kind]
        names += [f"{kind}:{id_}" for id_ in ids.tolist()]
    entries = (np.concatenate(rows), np.concatenate(columns))
    matrix = sp.csr_matrix((np.concatenate(values).astype(np.float32), entries), (n, len(names)))
    return tuple(names), matrix


def _load_embeddings(items: IdMap) -> dict[str, Embedding]:
    """Return the stored vectors of tracks by name."""
    embeddings = {}
    kinds = {
        kind
        for stored in _chunks(TrackVector.objects.order_by(), "track_id", items.ids, sys.maxsize)
        for kind in stored.values_list("name", "dimension").distinct()
    }
    for name, dimension in sorted(kinds):
        size = max(1, VECTOR_BYTES_PER_CHUNK // (dimension * STORED_DTYPE.itemsize))
        ids, vectors = [np.zeros(0, np.int64)], [np.zeros((0, dimension), np.float32)]
        stored = TrackVector.objects.filter(name=name).order_by("track_id")
        for chunk in _chunks(stored, "track_id", items.ids, size):
            of_chunk, joined = read_columns(chunk, [("track_id", int), ("embedding", bytes)])
            ids.append(of_chunk)
            vectors.append(joined.view(STORED_DTYPE).astype(np.float32).reshape(len(of_chunk), dimension))
        rows, is_known = items.rows(np.concatenate(ids))
        if is_known.any():
            embeddings[name] = Embedding(rows[is_known], np.concatenate(vectors)[is_known])
    return embeddings
