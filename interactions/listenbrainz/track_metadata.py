"""The `track_metadata` object by which ListenBrainz names a track."""

from typing import Any
from uuid import UUID

from interactions.listenbrainz.msids import make_msid, make_msid_of_names
from tracks.models import Track

Json = dict[str, Any]


def describe_track(track: Track) -> Json:
    """Return the names and identifiers of a track of the catalogue; its artist and album are read with it."""
    msid = make_msid(track.pk, track.match_key)
    metadata = _describe(track.artist.name, track.title, msid, track.mbid, track.isrc, track.duration_ms)
    if track.album:
        metadata["release_name"] = track.album.title
    if track.mbid:
        metadata["mbid_mapping"] = {
            "recording_mbid": str(track.mbid),
            "recording_name": track.title,
            "release_mbid": str(track.album.mbid) if track.album and track.album.mbid else None,
            "artist_mbids": [str(track.artist.mbid)] if track.artist.mbid else [],
        }
    return metadata


def describe_names(
    artist: str, title: str, album: str = "", mbid: UUID | None = None, isrc: str = "", duration_ms: int | None = None
) -> Json:
    """Return the names and identifiers of a track that the catalogue lacks."""
    metadata = _describe(artist, title, make_msid_of_names(artist, title), mbid, isrc, duration_ms)
    return metadata | ({"release_name": album} if album else {})


def _describe(
    artist: str, title: str, msid: UUID, mbid: UUID | None, isrc: str | None, duration_ms: int | None
) -> Json:
    info = {
        "recording_msid": str(msid),
        "recording_mbid": str(mbid) if mbid else None,
        "isrc": isrc,
        "duration_ms": duration_ms,
    }
    known = {name: value for name, value in info.items() if value}
    return {"artist_name": artist, "track_name": title, "additional_info": known}
