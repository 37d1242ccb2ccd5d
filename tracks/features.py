"""Read the catalogue as arrays, for the engine."""

from datetime import date

import numpy as np
from django.db.models.functions import Coalesce
from numpy.typing import ArrayLike

from engine.data.id_map import IdMap
from engine.data.track_features import NO_DATE, UNKNOWN_ID, TrackFeatures
from tracks.models import Track

EPOCH = date(1970, 1, 1).toordinal()
MAX_IDS_PER_QUERY = 10_000  # with more tracks than this, the whole catalogue is read


def load_track_features(track_ids: ArrayLike) -> TrackFeatures:
    """Return the features of tracks, one row for each distinct id in ascending order.

    Tracks that do not exist, because they have just been deleted, are unknown. If only the year of an album is known,
    its first of January is the date of release.

    Args:
        track_ids: int64 (n,).
    """
    items = IdMap.from_ids(track_ids)
    tracks = Track.objects.all()
    if len(items) <= MAX_IDS_PER_QUERY:
        tracks = tracks.filter(pk__in=items.ids.tolist())
    unknown = TrackFeatures.unknown(items.ids)
    artist, album = unknown.artist.copy(), unknown.album.copy()
    released, added = unknown.released.copy(), unknown.added.copy()
    rows = tracks.values_list(
        "pk",
        "artist_id",
        Coalesce("album_id", UNKNOWN_ID),
        Coalesce("released_on", "album__released_on"),
        "album__year",
        "created_at",
    )
    columns = [*zip(*rows.iterator(chunk_size=10_000), strict=True)]
    if columns:
        at, is_known = items.rows(columns[0])
        at = at[is_known]
        dates = [day or (date(year, 1, 1) if year else None) for day, year in zip(*columns[3:5], strict=True)]
        days = [day.toordinal() - EPOCH if day else NO_DATE for day in dates]
        artist[at] = np.array(columns[1], np.int64)[is_known]
        album[at] = np.array(columns[2], np.int64)[is_known]
        released[at] = np.array(days, np.int32)[is_known]
        added[at] = np.array([int(moment.timestamp()) for moment in columns[5]], np.int64)[is_known]
    return TrackFeatures(artist, album, unknown.recording, released, added)
