"""Facts about tracks by which a slate is shaped: who made them, when, and which of them are the same recording."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
UNKNOWN_ID = -1
NO_DATE = np.iinfo(np.int32).min


@dataclass(frozen=True)
class TrackFeatures:
    """One row for each of n tracks.

    Attributes:
        artist, album: int64 (n,), ids; UNKNOWN_ID if it is not known, or if there is none.
        recording: int64 (n,), equal for tracks that are the same recording: the smallest track id among them.
        released: int32 (n,), days since 1970-01-01; NO_DATE if it is not known.
        added: int64 (n,), UNIX second at which the track came into the catalogue; 0 if it is not known.
    """

    artist: Ids
    album: Ids
    recording: Ids
    released: NDArray[np.int32]
    added: Ids

    @classmethod
    def unknown(cls, track_ids: Ids) -> TrackFeatures:
        """Return the features of tracks, int64 (n,), of which nothing is known: each is a recording of its own."""
        n = len(track_ids)
        unknown = np.full(n, UNKNOWN_ID, np.int64)
        return cls(unknown, unknown, track_ids, np.full(n, NO_DATE, np.int32), np.zeros(n, np.int64))

    @classmethod
    def concatenate(cls, *parts: TrackFeatures) -> TrackFeatures:
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def __len__(self) -> int:
        return len(self.artist)

    @cached_property
    def release_days(self) -> NDArray[np.int32]:
        """The day of release, or that of being added if it is not known: int32 (n,), NO_DATE without either."""
        added = np.where(self.added > 0, self.added // 86_400, NO_DATE).astype(np.int32)
        return np.where(self.released != NO_DATE, self.released, added)

    def fingerprint(self) -> str:
        """Return 32 hex digits that are equal for equal features."""
        digest = hashlib.blake2b(digest_size=16)
        for field in fields(self):
            digest.update(np.ascontiguousarray(getattr(self, field.name)).tobytes())
        return digest.hexdigest()

    def where(self, selection: NDArray[np.bool_] | NDArray[np.int64] | slice) -> TrackFeatures:
        """Return the rows that a mask bool (n,), rows int64 (k,) or a slice select, in that order."""
        return TrackFeatures(*(getattr(self, field.name)[selection] for field in fields(self)))

    @cached_property
    def _by_artist(self) -> tuple[Ids, Ids]:
        """The rows by artist, int64 (n,), and the artist of each of them, int64 (n,), ascending."""
        order = np.argsort(self.artist, kind="stable")
        return order, self.artist[order]

    def rows_of_artists(self, artists: Ids) -> tuple[Ids, Ids]:
        """Return the tracks of some artists.

        Args:
            artists: int64 (a,), distinct.

        Returns:
            The rows, int64 (k,), and for each of them the position of its artist in `artists`, int64 (k,).
        """
        order, artist = self._by_artist
        starts, ends = (np.searchsorted(artist, artists, side=side) for side in ("left", "right"))
        counts = ends - starts
        number = np.repeat(np.arange(len(artists)), counts)
        within = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts)
        return order[starts[number] + within], number
