"""Plays → the confidence matrix that models fit."""

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
# Flags by signal, bool (signals,): a tenth of the time that np.isin takes.
_OPINIONS = np.isin(list(Signal), (Signal.LIKE, Signal.UNLIKE, Signal.DISLIKE, Signal.UNDISLIKE))
_LISTED = np.isin(list(Signal), (Signal.ADD, Signal.REMOVE))


@dataclass(frozen=True)
class UserItemPairs:
    """Distinct (listener, track) pairs, and what the interactions of each add up to; every column has length k.

    user, track: int64 rows · qualified: bool, whether any play qualified · count: float32, plays · newest: int64, UNIX
    second of the last interaction · liked, disliked: bool, what was said last · added: bool, in a playlist · shared:
    bool · skipped: bool, ever.
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
        """What there is to learn: the wanted pairs, ordered by listener, then track; interactions of an unknown
        listener or track are left out."""
        user_rows, user_known = users.rows(plays.user)
        track_rows, track_known = tracks.rows(plays.track)
        known = user_known & track_known
        if not known.all():
            user_rows, track_rows, plays = user_rows[known], track_rows[known], plays.where(known)
        pairs = cls.merge(user_rows, track_rows, plays)
        return pairs if pairs.is_positive.all() else pairs.where(pairs.is_positive)

    @classmethod
    @cache
    def empty(cls) -> UserItemPairs:
        """The same each time."""
        return cls.from_listener(Plays.empty())

    @classmethod
    def from_listener(cls, plays: Plays) -> UserItemPairs:
        """One listener's, wanted or not; `track` holds the outside ids."""
        nobody = np.zeros(len(plays), np.int64)
        if plays.signal.any() or not (plays.track[1:] > plays.track[:-1]).all():
            return cls.merge(nobody, plays.track, plays)
        # Plays and nothing else, of one track after the other, as most histories are: a tenth of the time.
        never = np.zeros(len(plays), np.bool_)
        return cls(nobody, plays.track, plays.qualified, plays.count, plays.time, never, never, never, never, never)

    @classmethod
    def merge(cls, user_rows: Rows, track_rows: Rows, plays: Plays) -> UserItemPairs:
        """Several interactions of a listener with a track become one pair; the ids in `plays` are not looked at."""
        order, begins = sort_into_groups(user_rows, track_rows, plays.time)
        starts, group, signal = np.flatnonzero(begins), np.cumsum(begins) - 1, plays.signal[order]
        firsts, lasts = order[starts], order[np.append(starts[1:], len(order))[: len(starts)] - 1]
        opinion, listed = (last_signal_per_group(signal, group, len(starts), said) for said in (_OPINIONS, _LISTED))
        played = signal == Signal.PLAY
        return cls(
            user_rows[firsts],
            track_rows[firsts],
            any_per_group(plays.qualified[order] & played, group, len(starts)),
            np.bincount(group, plays.count[order] * played, minlength=len(starts)).astype(np.float32),
            plays.time[lasts],
            opinion == Signal.LIKE,
            opinion == Signal.DISLIKE,
            listed == Signal.ADD,
            any_per_group(signal == Signal.SHARE, group, len(starts)),
            any_per_group(signal == Signal.SKIP, group, len(starts)),
        )

    def __len__(self) -> int:
        return len(self.user)

    @cached_property
    def is_positive(self) -> Flags:
        """Something speaks for them, and no dislike against: the others are negative where they count at all."""
        return ~self.disliked & ((self.count > 0) | self.liked | self.added | self.shared)

    @cached_property
    def is_negative(self) -> Flags:
        """Something speaks against them and nothing for them."""
        return self.disliked | (self.skipped & ~self.is_positive)

    def where(self, mask: Flags | Rows) -> UserItemPairs:
        return UserItemPairs(*(getattr(self, f.name)[mask] for f in fields(self)))


def count_listeners(pairs: UserItemPairs, tracks: int) -> NDArray[np.float32]:
    """How many listeners played each track, float32 (tracks,). Listeners, not plays: one fan is not a crowd."""
    return np.bincount(pairs.track, minlength=tracks).astype(np.float32)


def binary_matrix(pairs: UserItemPairs, shape: tuple[int, int]) -> sp.csr_matrix:
    """CSR float32 of `shape` (listeners, tracks), a 1 for each pair."""
    return sp.csr_matrix((np.ones(len(pairs), np.float32), (pairs.user, pairs.track)), shape)
