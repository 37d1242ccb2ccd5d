"""Which column of a file holds what: names in a header → positions of cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Names = Mapping[str, tuple[str, ...]]
"""Of each field the column names accepted, the best first."""

Positions = dict[str, int]
"""Of each field the index of its cell, ABSENT where the file has no such column."""

ABSENT = -1  # the index of the empty cell that readers append to every row, so that absent reads as empty

PLAY: Names = {
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
_OF_TRACKS: dict[str, tuple[str, ...]] = {
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
TRACK: Names = {"id": ("track_id", "id", "uri", "track"), "title": ("title", "name", "track")} | _OF_TRACKS
# In a file of plays `id`, `uri` and `name` could be anybody's; what tells of the track has names of its own.
TRACK_IN_PLAYS: Names = {"id": PLAY["track"], "title": ("title", "track")} | _OF_TRACKS


def positions(header: Sequence[str], names: Names) -> Positions:
    """Fields → positions in `header` (lower case). A column serves one field, the first that can use it."""
    found: Positions = {}
    for field, accepted in names.items():
        free = [name for name in accepted if name in header and header.index(name) not in found.values()]
        found[field] = header.index(free[0]) if free else ABSENT
    return found


def are_plays(header: Sequence[str]) -> bool:
    """A file whose header has a column of users is one of plays, any other one of tracks."""
    return any(name in header for name in PLAY["user"])


def missing(found: Positions, names: Names, fields: Iterable[str]) -> list[str]:
    """Of `fields` those that are absent, as text for a message."""
    return [f"{field} ({', '.join(names[field])})" for field in fields if found[field] == ABSENT]
