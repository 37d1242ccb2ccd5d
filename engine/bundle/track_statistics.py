"""What ranking wants to know of each track of a bundle beside its scores; each array is computed at its first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.data.track_features import TrackFeatures

Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
NEW_ARTISTS_SHARE = 0.05  # of all listeners of tracks, that the artists who count as new have together


@dataclass(frozen=True)
class TrackStatistics:
    """Popularity and recordings of n tracks.

    Attributes:
        features: of the tracks.
        popularity: number of listeners, float32 (n,).
    """

    features: TrackFeatures
    popularity: Floats

    @cached_property
    def popularity_percentiles(self) -> Floats:
        """float32 (n,): the share of the played tracks that have fewer listeners, half of those with as many included.

        0 for tracks that nobody played.
        """
        played = np.sort(self.popularity[self.popularity > 0])
        if not len(played):
            return np.zeros(len(self.popularity), np.float32)
        below = np.searchsorted(played, self.popularity, "left")
        up_to = np.searchsorted(played, self.popularity, "right")
        percentiles = (below + up_to) / (2 * len(played))
        return np.where(self.popularity > 0, percentiles, 0).astype(np.float32)

    @cached_property
    def artist_listeners(self) -> Floats:
        """float32 (n,): the summed popularity of all tracks of a track's artist; its own if the artist is unknown."""
        artist = self.features.artist
        is_known = artist >= 0
        _, number = np.unique(artist[is_known], return_inverse=True)
        listeners = self.popularity.copy()
        listeners[is_known] = np.bincount(number, self.popularity[is_known])[number]
        return listeners

    @cached_property
    def is_of_new_artist(self) -> NDArray[np.bool_]:
        """bool (n,): whether a track's artist is among those with the fewest listeners, who have 5 % of all together.

        A share rather than a number, so that it means the same in a catalogue of any size. Tracks of unknown artists
        never count.
        """
        artist = self.features.artist
        is_known = artist >= 0
        _, first = np.unique(artist[is_known], return_index=True)
        listeners = np.sort(self.artist_listeners[is_known][first].astype(np.float64))
        reached = np.cumsum(listeners) > NEW_ARTISTS_SHARE * listeners.sum()
        limit = listeners[np.argmax(reached)] if reached.any() else np.inf
        return is_known & (self.artist_listeners < limit)

    def add_recordings(self, rows: Rows) -> Rows:
        """Return the rows and those of all other tracks of the same recordings, int64; some of them possibly twice."""
        recordings = np.unique(self.features.recording[rows[self._has_duplicates[rows]]])
        if not len(recordings):
            return rows
        order, sorted_recordings = self._rows_by_recording
        starts = np.searchsorted(sorted_recordings, recordings, "left")
        lengths = np.searchsorted(sorted_recordings, recordings, "right") - starts
        positions = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
        return np.concatenate([rows, order[positions]])

    @cached_property
    def _rows_by_recording(self) -> tuple[Rows, Rows]:
        """The tracks that share their recording with others, sorted by recording, and these recordings."""
        recording = self.features.recording
        order = np.argsort(recording, kind="stable")
        in_order = recording[order]
        is_same = (in_order[1:] == in_order[:-1]) & (in_order[1:] >= 0)
        has_duplicate = np.zeros(len(order), np.bool_)
        has_duplicate[1:] |= is_same
        has_duplicate[:-1] |= is_same
        return order[has_duplicate], in_order[has_duplicate]

    @cached_property
    def _has_duplicates(self) -> NDArray[np.bool_]:
        has_duplicates = np.zeros(len(self.popularity), np.bool_)
        has_duplicates[self._rows_by_recording[0]] = True
        return has_duplicates
