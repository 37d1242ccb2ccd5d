"""The `recording_msid` of a track, by which clients refer to what they were told.

ListenBrainz draws it at random. Here it contains the track's id, so that it needs no column, and a hash of the names,
so that an id of another service or of another installation is not taken for a track of this one.
"""

import hashlib
from collections.abc import Collection
from uuid import UUID, uuid5

from tracks.models import Track

ID_BYTES = 6
NAMES_NAMESPACE = UUID("b7a3d1c4-2f0e-5a8b-9c67-4e1d52f3a806")


def make_msid(track_id: int, match_key: str) -> UUID:
    """Return the msid of a track of the catalogue. Its version is 4, as clients expect."""
    digest = hashlib.sha256(f"{track_id}\0{match_key}".encode()).digest()
    return UUID(bytes=track_id.to_bytes(ID_BYTES, "big") + digest[: 16 - ID_BYTES], version=4)


def make_msid_of_names(artist: str, title: str) -> UUID:
    """Return an msid for names that are not in the catalogue. No track is found by it."""
    return uuid5(NAMES_NAMESPACE, f"{artist}\0{title}")


def find_tracks_by_msid(msids: Collection[UUID]) -> dict[UUID, int]:
    """Return the track ids by msid, without msids of other services and of tracks whose names have changed since."""
    track_ids = {int.from_bytes(msid.bytes[:ID_BYTES], "big") for msid in msids}
    tracks_by_msid = {
        make_msid(pk, key): pk for pk, key in Track.objects.filter(pk__in=track_ids).values_list("pk", "match_key")
    }
    return {msid: tracks_by_msid[msid] for msid in msids if msid in tracks_by_msid}
