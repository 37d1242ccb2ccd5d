"""What every reader of `importers` yields, in file order: tracks, plays, and the rows it refuses."""

from __future__ import annotations

from typing import NamedTuple


class TagRecord(NamedTuple):
    """kind: genre, mood, instrument or other. weight > 0."""

    name: str
    kind: str = "other"
    weight: float = 1.0


class TrackRecord(NamedTuple):
    """A track of the catalogue. Ids are outside ids, `namespace:id` where the format has a namespace."""

    external_id: str
    title: str
    artist: str
    artist_id: str
    album: str = ""
    album_id: str = ""
    year: int | None = None
    duration_ms: int | None = None
    isrc: str | None = None
    mbid: str | None = None
    tempo: float | None = None
    energy: float | None = None
    valence: float | None = None
    danceability: float | None = None
    acousticness: float | None = None
    preview_url: str = ""
    cover_url: str = ""
    tags: tuple[TagRecord, ...] = ()
    has_placeholder_names: bool = False  # title or artist are made from ids, since the source names none
    file: str = ""
    line: int = 0


class PlayRecord(NamedTuple):
    """One event, or a total of `plays` plays. `time`: UNIX seconds.

    event_id: 16 bytes, the same whenever the same row is read again, so that a second import adds nothing.
    """

    user: str
    track: str
    time: int
    plays: int = 1
    kind: str = "play"
    ms_played: int | None = None
    milestone: int = 0
    is_completed: bool = False
    session: str = ""
    device: str = ""
    context: str = ""
    event_id: bytes = b""
    file: str = ""
    line: int = 0


class ListenRecord(NamedTuple):
    """One play from a listener's own history, of a track known by its names. `time`: UNIX seconds, when it began.

    end_reason: finished, interrupted, skipped, replaced, stopped, or "" where nothing tells · mbid: of the MusicBrainz
    recording, a UUID in text, or "".
    """

    artist: str
    title: str
    time: int
    album: str = ""
    ms_played: int | None = None
    end_reason: str = ""
    isrc: str = ""
    mbid: str = ""
    device: str = ""
    context: str = ""
    duration_ms: int | None = None
    file: str = ""
    line: int = 0


class RefusedRow(NamedTuple):
    """A row that was not understood: where it stands, and why, with the remedy where there is one."""

    file: str
    line: int
    reason: str


Record = TrackRecord | PlayRecord | RefusedRow
