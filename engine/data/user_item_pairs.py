"""The interactions of each listener with each track, aggregated to pairs; confidences are computed from them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache, cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.aggregate import any_per_group, last_signal_per_group, sort_into_groups
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
# Look-up tables by signal: indexing one takes a tenth of the time of np.isin on the signals.
_IS_OPINION = np.isin(list(Signal), (Signal.LIKE, Signal.UNLIKE, Signal.DISLIKE, Signal.UNDISLIKE))
_IS_PLAYLIST_CHANGE = np.isin(list(Signal), (Signal.ADD, Signal.REMOVE))


@dataclass(frozen=True)
class UserItemPairs:
    """Distinct (listener, track) pairs with the aggregate of their interactions; every column has length k.

    Attributes:
        user, track: int64, row numbers; in the pairs of a single listener, `track` may hold ids instead.
        qualified: bool, whether any play qualified.
        count: float32, the number of plays.
        newest: int64, UNIX second of the last interaction.
        liked, disliked: bool, the listener's last opinion of the track.
        added: bool, whether the track is in a playlist of the listener.
        shared, skipped: bool, whether that ever happened.
    """

    user: Rows
    track: Rows
    qualified: Flags
    count: NDArray[np.float32]
    newest: NDArray[np.int64]
    liked: Flags
    disliked: Flags
    added: Flags
    shared: Flags
    skipped: Flags

    @classmethod
    def from_plays(cls, plays: Plays, users: IdMap, tracks: IdMap) -> UserItemPairs:
        """Aggregate plays to the positive pairs, which models learn from, ordered by listener, then track.

        Interactions of listeners or tracks that the maps do not know are left out.
        """
        user_rows, is_known_user = users.rows(plays.user)
        track_rows, is_known_track = tracks.rows(plays.track)
        is_known = is_known_user & is_known_track
        if not is_known.all():
            user_rows, track_rows, plays = user_rows[is_known], track_rows[is_known], plays.where(is_known)
        pairs = cls.merge(user_rows, track_rows, plays)
        return pairs if pairs.is_positive.all() else pairs.where(pairs.is_positive)

    @classmethod
    @cache
    def empty(cls) -> UserItemPairs:
        """Return zero pairs, the same object each time."""
        return cls.from_listener(Plays.empty())

    @classmethod
    def from_listener(cls, plays: Plays) -> UserItemPairs:
        """Aggregate the plays of one listener, positive or not; `track` holds the track ids."""
        user_rows = np.zeros(len(plays), np.int64)
        if plays.signal.any() or not (plays.track[1:] > plays.track[:-1]).all():
            return cls.merge(user_rows, plays.track, plays)
        # Most histories are plays only, one row per track in the order of the tracks: nothing to merge, which takes a
        # tenth of the time.
        all_false = np.zeros(len(plays), np.bool_)
        flags = (all_false,) * 5  # liked, disliked, added, shared, skipped
        return cls(user_rows, plays.track, plays.qualified, plays.count, plays.time, *flags)

    @classmethod
    def merge(cls, user_rows: Rows, track_rows: Rows, plays: Plays) -> UserItemPairs:
        """Aggregate the interactions of each listener with each track to one pair.

        Args:
            user_rows, track_rows: int64 (n,), used instead of the ids in `plays`.
        """
        order, is_start = sort_into_groups(user_rows, track_rows, plays.time)
        starts, group, signal = np.flatnonzero(is_start), np.cumsum(is_start) - 1, plays.signal[order]
        firsts, lasts = order[starts], order[np.append(starts[1:], len(order))[: len(starts)] - 1]
        opinion, playlist_change = (
            last_signal_per_group(signal, group, len(starts), is_relevant)
            for is_relevant in (_IS_OPINION, _IS_PLAYLIST_CHANGE)
        )
        is_play = signal == Signal.PLAY
        return cls(
            user_rows[firsts],
            track_rows[firsts],
            any_per_group(plays.qualified[order] & is_play, group, len(starts)),
            np.bincount(group, plays.count[order] * is_play, minlength=len(starts)).astype(np.float32),
            plays.time[lasts],
            opinion == Signal.LIKE,
            opinion == Signal.DISLIKE,
            playlist_change == Signal.ADD,
            any_per_group(signal == Signal.SHARE, group, len(starts)),
            any_per_group(signal == Signal.SKIP, group, len(starts)),
        )

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def is_positive(self) -> Flags:
        """bool (k,): the listener played, liked, added or shared the track, and does not dislike it."""
        return ~self.disliked & ((self.count > 0) | self.liked | self.added | self.shared)

    @cached_property
    def is_negative(self) -> Flags:
        """bool (k,): the listener dislikes the track, or skipped it and did nothing that makes the pair positive."""
        return self.disliked | (self.skipped & ~self.is_positive)

    def where(self, selection: Flags | Rows) -> UserItemPairs:
        """Return the pairs that a mask bool (k,) or indices int64 (j,) select."""
        return UserItemPairs(*(getattr(self, f.name)[selection] for f in fields(self)))


def count_listeners(pairs: UserItemPairs, tracks: int) -> NDArray[np.float32]:
    """Return how many listeners played each track, float32 (tracks,).

    Listeners rather than plays, so that one fan cannot make a track popular.
    """
    return np.bincount(pairs.track, minlength=tracks).astype(np.float32)


def binary_matrix(pairs: UserItemPairs, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return CSR float32 of `shape` (listeners, tracks) with a 1 for each pair."""
    return sp.csr_matrix((np.ones(len(pairs), np.float32), (pairs.user, pairs.track)), shape)
