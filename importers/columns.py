"""The column names that a file may use, and the positions of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

ColumnNames = Mapping[str, tuple[str, ...]]
"""The accepted column names of each field, in order of preference."""

ColumnPositions = dict[str, int]
"""The index of each field's cell; ABSENT if the file has no such column."""

# Readers append an empty cell to every row, so that a field without a column reads as empty.
ABSENT = -1

PLAY_COLUMNS: ColumnNames = {
    "user": ("user_id", "user", "listener"),
    "track": ("track_id", "track", "item"),
    "time": ("played_at", "listened_at", "timestamp", "time", "ts"),
    "plays": ("plays", "play_count", "count", "weight"),
    "kind": ("kind", "event_type"),
    "ms_played": ("ms_played",),
    "duration_ms": ("duration_ms",),
    "milestone": ("milestone",),
    "is_completed": ("is_completed",),
    "session": ("session_id", "session"),
    "device": ("device",),
    "context": ("context",),
    "event_id": ("event_id",),
}
_COMMON_TRACK_COLUMNS: dict[str, tuple[str, ...]] = {
    "artist": ("artist_name", "artist"),
    "artist_id": ("artist_id",),
    "album": ("album_title", "album"),
    "album_id": ("album_id",),
    "year": ("year",),
    "duration_ms": ("duration_ms",),
    "duration_s": ("duration_s",),
    "isrc": ("isrc",),
    "mbid": ("mbid",),
    "tempo": ("tempo",),
    "energy": ("energy",),
    "valence": ("valence",),
    "danceability": ("danceability",),
    "acousticness": ("acousticness",),
    "preview_url": ("preview_url",),
    "cover_url": ("cover_url",),
    "tags": ("tags",),
    "genres": ("genres",),
}
TRACK_COLUMNS: ColumnNames = {
    "id": ("track_id", "id", "uri", "track"),
    "title": ("title", "name", "track"),
} | _COMMON_TRACK_COLUMNS
# In a file of plays, columns named `id`, `uri` or `name` may belong to the play or the listener.
TRACK_COLUMNS_IN_PLAYS: ColumnNames = {
    "id": PLAY_COLUMNS["track"],
    "title": ("title", "track"),
} | _COMMON_TRACK_COLUMNS


def find_columns(header: Sequence[str], names: ColumnNames) -> ColumnPositions:
    """Return the position of each field in `header`, which is in lower case.

    A column that several fields accept serves the first of them.
    """
    positions: ColumnPositions = {}
    for field, accepted_names in names.items():
        unused = [name for name in accepted_names if name in header and header.index(name) not in positions.values()]
        positions[field] = header.index(unused[0]) if unused else ABSENT
    return positions


def describe_missing_columns(positions: ColumnPositions, names: ColumnNames, fields: Iterable[str]) -> list[str]:
    """Return `field (accepted names)`, for an error message, for each of `fields` that has no column."""
    return [f"{field} ({', '.join(names[field])})" for field in fields if positions[field] == ABSENT]
