"""The interactions of each listener with each track, aggregated to pairs; confidences are computed from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache, cached_property, partial

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
_no_weights: Callable[[], NDArray[np.float32]] = partial(np.zeros, 0, np.float32)  # type: ignore[assignment]
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
        oldest, newest: int64, UNIX second of the first and of the last interaction.
        liked, disliked: bool, the listener's last opinion of the track.
        added: bool, whether the track is in a playlist of the listener.
        shared, skipped: bool, whether that ever happened.
        weight: float32, see `Plays.weight`; 1 by default.
    """

    user: Rows
    track: Rows
    qualified: Flags
    count: NDArray[np.float32]
    oldest: NDArray[np.int64]
    newest: NDArray[np.int64]
    liked: Flags
    disliked: Flags
    added: Flags
    shared: Flags
    skipped: Flags
    weight: NDArray[np.float32] = field(default_factory=_no_weights)

    def __post_init__(self) -> None:
        if not len(self.weight):
            object.__setattr__(self, "weight", np.ones(len(self.user), np.float32))

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
    def from_listener(cls, plays: Plays, oldest: NDArray[np.int64] | None = None) -> UserItemPairs:
        """Aggregate the plays of one listener, positive or not; `track` holds the track ids.

        Args:
            oldest: see `merge`.
        """
        user_rows = np.zeros_like(plays.track)
        if plays.signal.any() or not (plays.track[1:] > plays.track[:-1]).all():
            return cls.merge(user_rows, plays.track, plays, oldest)
        # Most histories are plays only, one row per track in the order of the tracks: nothing to merge, which takes a
        # tenth of the time.
        all_false = np.zeros_like(plays.qualified)
        flags = (all_false,) * 5  # liked, disliked, added, shared, skipped
        oldest = plays.time if oldest is None else oldest
        return cls(user_rows, plays.track, plays.qualified, plays.count, oldest, plays.time, *flags, plays.weight)

    @classmethod
    def merge(
        cls, user_rows: Rows, track_rows: Rows, plays: Plays, oldest: NDArray[np.int64] | None = None
    ) -> UserItemPairs:
        """Aggregate the interactions of each listener with each track to one pair.

        Args:
            user_rows, track_rows: int64 (n,), used instead of the ids in `plays`.
            oldest: int64 (n,), the UNIX second of the first interaction of rows that stand for several; by default
                their time. Without it, the plays of an imported total all have the same time.
        """
        order, is_start = sort_into_groups(user_rows, track_rows, plays.time)
        starts, group, signal = np.flatnonzero(is_start), np.cumsum(is_start) - 1, plays.signal[order]
        firsts, lasts = order[starts], order[np.append(starts[1:], len(order))[: len(starts)] - 1]
        if oldest is not None and len(starts):  # the row with the earliest time may not begin first
            first_times = np.minimum.reduceat(oldest[order], starts)
        else:
            first_times = plays.time[firsts]
        opinion, playlist_change = (
            _last_signal_per_group(signal, group, len(starts), is_relevant)
            for is_relevant in (_IS_OPINION, _IS_PLAYLIST_CHANGE)
        )
        is_play = signal == Signal.PLAY
        return cls(
            user_rows[firsts],
            track_rows[firsts],
            _any_per_group(plays.qualified[order] & is_play, group, len(starts)),
            np.bincount(group, plays.count[order] * is_play, minlength=len(starts)).astype(np.float32),
            first_times,
            plays.time[lasts],
            opinion == Signal.LIKE,
            opinion == Signal.DISLIKE,
            playlist_change == Signal.ADD,
            _any_per_group(signal == Signal.SHARE, group, len(starts)),
            _any_per_group(signal == Signal.SKIP, group, len(starts)),
            plays.weight[firsts],
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

    def where(self, selection: Flags | Rows | slice) -> UserItemPairs:
        """Return the pairs that a mask bool (k,), indices int64 (j,) or a slice select."""
        return UserItemPairs(*(getattr(self, f.name)[selection] for f in fields(self)))


def sort_into_groups(user_rows: Rows, track_rows: Rows, time: NDArray[np.int64]) -> tuple[Rows, Flags]:
    """Sort interactions by user, track and time, and mark where each (user, track) group starts.

    The sort is stable: among interactions of the same second, the later row counts as the newer one.

    Args:
        user_rows, track_rows: int64 (n,), not negative.
        time: int64 (n,), UNIX seconds.

    Returns:
        The order, int64 (n,) indices into the columns, and bool (n,), True where a group starts in that order.
    """
    index_bits, tracks = len(time).bit_length(), int(track_rows.max(initial=0)) + 1
    is_start = np.ones(len(time), np.bool_)
    if (int(user_rows.max(initial=0)) + 1) * tracks > np.iinfo(np.int64).max >> index_bits:
        order = np.lexsort((time, track_rows, user_rows))
        user, track = user_rows[order], track_rows[order]
        is_start[1:] = (user[1:] != user[:-1]) | (track[1:] != track[:-1])
        return order, is_start
    # Pack the pair and the index of each interaction into one integer and sort these: np.sort on integers takes a
    # quarter of the time of an indirect sort.
    pairs, indices = user_rows * tracks + track_rows, np.arange(len(time))
    by_time = np.argsort(time, kind="stable") if (time[1:] < time[:-1]).any() else None
    packed = np.sort((pairs if by_time is None else pairs[by_time]) << index_bits | indices)
    order, pairs = packed & ((1 << index_bits) - 1), packed >> index_bits
    np.not_equal(pairs[1:], pairs[:-1], out=is_start[1:])
    return (order if by_time is None else by_time[order]), is_start


def _any_per_group(flags: Flags, group: Rows, groups: int) -> Flags:
    """Return bool (groups,): whether any interaction of each group is flagged.

    Args:
        flags: bool (n,).
        group: the number of the group of each interaction, int64 (n,).
    """
    result = np.zeros(groups, np.bool_)
    result[group[flags]] = True
    return result


def _last_signal_per_group(signal: NDArray[np.int8], group: Rows, groups: int, is_relevant: Flags) -> NDArray[np.int8]:
    """Return the last relevant signal of each group, int8 (groups,); -1 for a group without any.

    Args:
        signal: int8 (n,), in the order of `sort_into_groups`.
        group: the number of the group of each interaction, int64 (n,).
        is_relevant: bool, indexed by signal.
    """
    last, relevant = np.full(groups, -1, np.int8), is_relevant[signal]
    last[group[relevant]] = signal[relevant]  # NumPy assigns in order, so the last of several stays
    return last


def count_listeners(pairs: UserItemPairs, tracks: int) -> NDArray[np.float32]:
    """Return how many listeners played each track, float32 (tracks,).

    Listeners rather than plays, so that one fan cannot make a track popular.
    """
    return np.bincount(pairs.track, minlength=tracks).astype(np.float32)


def binary_matrix(pairs: UserItemPairs, shape: tuple[int, int]) -> sp.csr_matrix:
    """Return CSR float32 of `shape` (listeners, tracks) with a 1 for each pair."""
    return sp.csr_matrix((np.ones(len(pairs), np.float32), (pairs.user, pairs.track)), shape)
