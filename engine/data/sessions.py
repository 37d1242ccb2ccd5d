"""Listening sessions: the plays of one listener in their order, cut where they paused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal

SESSION_GAP_SECONDS = 1_800
CURRENT_PLAYS = 20  # the latest plays of the current session say what goes on it


@dataclass(frozen=True)
class Sessions:
    """s sessions of p plays, in the order in which they ended.

    Attributes:
        items: rows of the played tracks in playing order, one session after the other, int32 (p,).
        offsets: session i has the plays offsets[i] to offsets[i + 1] - 1, int64 (s + 1,).
        ended_at: when the last play was, UNIX seconds, ascending, int64 (s,).
        user: row of the listener, -1 if unknown, int64 (s,).
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    ended_at: NDArray[np.int64]
    user: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ended_at)

    @classmethod
    def empty(cls) -> Sessions:
        return cls(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of plays of each session, int64 (s,)."""
        return np.diff(self.offsets)

    @property
    def session_of_play(self) -> NDArray[np.int64]:
        """The session of each play, int64 (p,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def slice(self, first: int, end: int) -> Sessions:
        """Return the sessions from `first` to before `end`."""
        offsets = self.offsets[first : end + 1]
        plays = slice(int(offsets[0]), int(offsets[-1]))
        return Sessions(self.items[plays], offsets - offsets[0], self.ended_at[first:end], self.user[first:end])

    def split_newest(self, share: float) -> tuple[Sessions, Sessions]:
        """Return the older sessions, and the newest ones, which are `share` of all."""
        first = len(self) - round(share * len(self))
        return self.slice(0, first), self.slice(first, len(self))

    def newest(self, plays: int) -> Sessions:
        """Return the newest sessions that have at most a number of plays together."""
        return self.slice(int(np.searchsorted(self.offsets, self.offsets[-1] - plays)), len(self))

    def sample_plays(
        self, is_known: NDArray[np.bool_] | None = None, count: int = 0, seed: int = 0
    ) -> NDArray[np.int64]:
        """Return plays that can be predicted from those before them, all or some chosen at random.

        Args:
            is_known: only plays of these items, bool (items,); None for all.
            count: how many, at most; 0 for all.
            seed: of the random choice.

        Returns:
            Positions in `items`, ascending, none of them the first of its session, int64 (q,).
        """
        is_first = np.zeros(len(self.items), np.bool_)
        is_first[self.offsets[:-1]] = True
        plays = np.flatnonzero(~is_first if is_known is None else ~is_first & is_known[self.items])
        if 0 < count < len(plays):
            plays = np.sort(np.random.default_rng(seed).permutation(plays)[:count])
        return plays

    def where_longer_than(self, plays: int) -> Sessions:
        """Return the sessions that have more than a number of plays."""
        is_long = self.lengths > plays
        is_selected = np.repeat(is_long, self.lengths)
        offsets = np.concatenate([[0], np.cumsum(self.lengths[is_long])])
        return Sessions(self.items[is_selected], offsets, self.ended_at[is_long], self.user[is_long])


def sessions_from_plays(
    plays: Plays, items: IdMap, gap_seconds: int = SESSION_GAP_SECONDS, users: IdMap | None = None
) -> Sessions:
    """Cut the plays of each listener into sessions, wherever they paused for longer than a gap.

    Only single plays have a place in an order: totals that were imported are left out, and so are skips and opinions.
    Shuffled plays are left out as well, and end a session, because what follows one is not what the listener
    chose after the track before it. So does a play in the same second as the one before: imports with dates instead of
    times have no order. Tracks that are no items are skipped over.

    Args:
        plays: of all listeners, in any order; among plays of the same second the later row is the newer one.
        items: of the rows.
        gap_seconds: the longest pause within a session, from one play to the next.
        users: of the rows of listeners; -1 for all without it.
    """
    is_play = (plays.signal == Signal.PLAY) & (plays.count == 1)
    plays = plays.where(is_play)
    plays = plays.where(
        np.lexsort((plays.time, plays.user))
    )  # stable, so that rows of the same second keep their order
    if not len(plays):
        return Sessions.empty()
    begins = np.ones(len(plays), np.bool_)
    begins[1:] = (np.diff(plays.user) != 0) | (np.diff(plays.time) > gap_seconds)
    begins[1:] |= (np.diff(plays.time) == 0) | plays.shuffled[:-1]
    number = np.cumsum(begins) - 1
    rows, is_item = items.rows(plays.track)
    selected = is_item & ~plays.shuffled
    # The last play of each session that has any; sessions are ordered by its time, and by listener where it is equal.
    play_rows, number = rows[selected], number[selected]
    numbers, first = np.unique(number, return_index=True)
    lengths = np.diff(np.append(first, len(number)))
    of_last = np.flatnonzero(selected)[first + lengths - 1]
    order = np.argsort(plays.time[of_last], kind="stable")
    offsets = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
    play_order = np.repeat(first[order] - offsets[:-1], lengths[order]) + np.arange(len(number))
    listeners = np.full(len(numbers), -1, np.int64)
    if users is not None:
        user_rows, is_user = users.rows(plays.user[of_last])
        listeners = np.where(is_user, user_rows, -1)
    return Sessions(
        items=play_rows[play_order].astype(np.int32),
        offsets=offsets,
        ended_at=plays.time[of_last][order],
        user=listeners[order],
    )


def current_session(plays: Sequence[tuple[int, int, bool]], now: int) -> list[int]:
    """Return the tracks of the session that a listener is in, oldest first; empty if they have paused since.

    Sessions are cut as by `sessions_from_plays`; the current one ends when the listener has paused for longer than
    `SESSION_GAP_SECONDS`.

    Args:
        plays: the track, the UNIX second and whether it was shuffled, of the listener's latest single plays, the newest
            first.
        now: UNIX second.
    """
    tracks: list[int] = []
    later = now
    for track, time, is_shuffled in plays:
        if is_shuffled or later - time > SESSION_GAP_SECONDS or (tracks and later == time):
            break
        tracks.append(track)
        later = time
    return tracks[::-1]
