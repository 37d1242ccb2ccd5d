"""The records that importers yield, in the order of their file: tracks, plays, listens and refused rows."""

from __future__ import annotations

import hashlib
from typing import NamedTuple


class TagRecord(NamedTuple):
    """A tag of a track.

    Attributes:
        kind: genre, mood, instrument or other.
        weight: more than 0.
    """

    name: str
    kind: str = "other"
    weight: float = 1.0


class TrackRecord(NamedTuple):
    """A track of the catalogue.

    Attributes:
        external_id, artist_id, album_id: ids from the file, as `namespace:id` if the import has a namespace.
        tempo: beats per minute.
        energy, valence, danceability, acousticness: 0 to 1.
        has_placeholder_names: whether title or artist are made from ids because the file has no names.
        is_placeholder: whether only the id is known. Such a record adds a track, but changes none that exists.
        file, line: where the record comes from.
    """

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
    has_placeholder_names: bool = False
    is_placeholder: bool = False
    file: str = ""
    line: int = 0


class PlayRecord(NamedTuple):
    """One event of a listener, or a total of several plays.

    Attributes:
        user, track: external ids, as `namespace:id` if the import has a namespace.
        time: UNIX seconds.
        plays: 1, or the number of plays in a total.
        kind: play, like, unlike, dislike or undislike.
        milestone: percent heard, 0 to 100.
        event_id: 16 bytes, equal whenever the same row is read, so that repeating an import adds nothing.
        file, line: where the record comes from.
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
    """One play from a listener's own history. It names its track by artist and title instead of an id.

    Attributes:
        time: when the play began, in UNIX seconds.
        end_reason: finished, interrupted, skipped, replaced or stopped; "" if unknown.
        mbid: MusicBrainz id of the recording, a UUID as text; "" if unknown.
        msid: MessyBrainz id of the recording, a UUID as text; "" if unknown. It names a track of the service only that
            gave it.
        time_precision: seconds; 60 if the format has minutes only.
        file, line: where the record comes from.
    """

    artist: str
    title: str
    time: int
    album: str = ""
    ms_played: int | None = None
    end_reason: str = ""
    isrc: str = ""
    mbid: str = ""
    msid: str = ""
    device: str = ""
    context: str = ""
    duration_ms: int | None = None
    time_precision: int = 1
    file: str = ""
    line: int = 0


class RefusedRow(NamedTuple):
    """A row that is not imported: its place, and the reason, which includes the remedy if there is one.

    Attributes:
        kind: the reason without values of this row, by which rows are counted; "" if the reason has none.
    """

    file: str
    line: int
    reason: str
    kind: str = ""


class FileNote(NamedTuple):
    """What the listener should know about a file that is read, for example what its format lacks."""

    file: str
    text: str


def placeholder_track(prefix: str, track: str) -> TrackRecord:
    """Return the record of a track of which only the id is known.

    It has an artist of its own, because tracks of unknown artists are not by the same artist.

    Args:
        prefix: the prefix of ids, with a colon; "" for none.
        track: the id in the file.
    """
    return TrackRecord(
        external_id=f"{prefix}{track}",
        title=f"Track {track}",
        artist=f"Artist of track {track}",
        artist_id=f"{prefix}of-track:{track}",
        has_placeholder_names=True,
        is_placeholder=True,
    )


Record = TrackRecord | PlayRecord | RefusedRow

_EMPTY_HASH = hashlib.blake2b(digest_size=16)  # copying it for every row takes half the time of making a new one


def play_event_id(namespace: str, user: str, track: str, time: int | None, kind: str) -> bytes:
    """Return the 16-byte id of an event, derived from what identifies it.

    Args:
        user, track: external ids, with the namespace.
        time: UNIX seconds; None if the file carries no times, so that a total keeps its id from import to import.
        kind: the kind of the event.
    """
    identity = f"{namespace}\0{user}\0{track}\0{'' if time is None else time}\0{kind}"
    digest = _EMPTY_HASH.copy()
    digest.update(identity.encode())
    return digest.digest()
