"""Rows of interactions, put together by pairs of listener and track. Every column has length n, a group a pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
_KEYS = np.iinfo(np.int64).max


def sort_into_groups(user_rows: Rows, track_rows: Rows, time: NDArray[np.int64]) -> tuple[Rows, Flags]:
    """By listener, track and time; stable: of the same second, the later row is newer. And where, in this order, a
    pair begins."""
    bits, tracks = len(time).bit_length(), int(track_rows.max(initial=0)) + 1
    if (int(user_rows.max(initial=0)) + 1) * tracks > _KEYS >> bits:
        order = np.lexsort((time, track_rows, user_rows))
        user, track = user_rows[order], track_rows[order]
        return order, _changes(user) | _changes(track)
    # Sorted as numbers, each pair with its place: a quarter of the time that an indirect sort takes.
    pairs, places = user_rows * tracks + track_rows, np.arange(len(time))
    by_time = np.argsort(time, kind="stable") if (time[1:] < time[:-1]).any() else None
    together = np.sort((pairs if by_time is None else pairs[by_time]) << bits | places)
    order = together & ((1 << bits) - 1)
    return (order if by_time is None else by_time[order]), _changes(together >> bits)


def _changes(column: Rows) -> Flags:
    """bool (n,): where a value differs from the one before; the first does."""
    begins = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=begins[1:])
    return begins


def any_per_group(flags: Flags, group: Rows, groups: int) -> Flags:
    """bool (groups,): whether a row of each group is flagged."""
    found = np.zeros(groups, np.bool_)
    found[group[flags]] = True
    return found


def last_signal_per_group(signal: NDArray[np.int8], group: Rows, groups: int, among: Flags) -> NDArray[np.int8]:
    """The last signal of each group that is one of those flagged; -1 where there is none."""
    last, said = np.full(groups, -1, np.int8), among[signal]
    last[group[said]] = signal[said]  # of several, the last assignment stays
    return last
