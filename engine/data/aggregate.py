"""Group interactions by (user, track) pair, and aggregate each group.

Every column has one entry per interaction, length n. `group` holds the group number of each interaction, ascending.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


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
    if (int(user_rows.max(initial=0)) + 1) * tracks > np.iinfo(np.int64).max >> index_bits:
        order = np.lexsort((time, track_rows, user_rows))
        user, track = user_rows[order], track_rows[order]
        return order, _differs_from_previous(user) | _differs_from_previous(track)
    # Pack the pair and the index of each interaction into one integer and sort these: np.sort on integers takes a
    # quarter of the time of an indirect sort.
    pairs, indices = user_rows * tracks + track_rows, np.arange(len(time))
    by_time = np.argsort(time, kind="stable") if (time[1:] < time[:-1]).any() else None
    packed = np.sort((pairs if by_time is None else pairs[by_time]) << index_bits | indices)
    order = packed & ((1 << index_bits) - 1)
    return (order if by_time is None else by_time[order]), _differs_from_previous(packed >> index_bits)


def _differs_from_previous(column: Rows) -> Flags:
    """Mark the entries that differ from the one before; the first always does."""
    differs = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=differs[1:])
    return differs


def any_per_group(flags: Flags, group: Rows, groups: int) -> Flags:
    """Return bool (groups,): whether any interaction of each group is flagged."""
    result = np.zeros(groups, np.bool_)
    result[group[flags]] = True
    return result


def last_signal_per_group(signal: NDArray[np.int8], group: Rows, groups: int, is_relevant: Flags) -> NDArray[np.int8]:
    """Return the last relevant signal of each group, int8 (groups,); -1 for a group without any.

    Args:
        signal: int8 (n,), in the order of `sort_into_groups`.
        is_relevant: bool, indexed by signal.
    """
    last, relevant = np.full(groups, -1, np.int8), is_relevant[signal]
    last[group[relevant]] = signal[relevant]  # NumPy assigns in order, so the last of several stays
    return last
