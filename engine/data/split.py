"""Hold out plays to judge a configuration on. Every play is in exactly one part, in the order it came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data.plays import Plays
from engine.hashing import hash_pairs_to_unit_interval, hash_to_unit_interval

Mask = NDArray[np.bool_]


class Split(NamedTuple):
    """kind: how it was split, one of KINDS · past: what a model may learn from · future: what it is judged on · given:
    plays of listeners who are not in the past, told to the finished model (fold-in) before it is asked about them."""

    kind: str
    past: Plays
    future: Plays
    fold_in_plays: Plays = Plays.empty()


def split_plays(plays: Plays, kind: str, share: float, seed: int) -> Split:
    """Split by one of KINDS; `share`, in 0..1, of what that kind speaks of is held out. Raises ValueError for another
    kind or share."""
    if kind not in SPLITTERS:
        raise ValueError(f"a split is one of {', '.join(SPLITTERS)}; not {kind!r}")
    if not 0 < share < 1:
        raise ValueError(f"the share held out lies between 0 and 1; not {share}")
    return SPLITTERS[kind](plays, share, seed)


def split_by_time(plays: Plays, share: float, seed: int) -> Split:
    """The newest `share` of the plays. Imported totals have no times (all the same): `by_ratio` then."""
    oldest_first = np.sort(plays.time)
    held_out = plays.time >= oldest_first[int(len(plays) * (1 - share))] if len(plays) else np.zeros(0, np.bool_)
    if held_out.all() or held_out.mean() > 2 * share:
        return split_by_ratio(plays, share, seed)
    return _cut("time", plays, held_out)


def split_by_ratio(plays: Plays, share: float, seed: int) -> Split:
    """A random `share` of each listener's tracks, rounded, but never all of them; all plays of a track go together.
    What is held out of one listener does not depend on others, so that a search and the gate after it, between which
    plays arrive, still agree about everybody else."""
    owner, pair = _pairs(plays)
    tracks = np.bincount(owner)
    quota = np.minimum(np.floor(share * tracks + 0.5), tracks - 1)
    user, track = (ids[np.unique(pair, return_index=True)[1]] for ids in (plays.user, plays.track))
    shuffled = np.lexsort((hash_pairs_to_unit_interval(user, track, seed), owner))
    held_out = np.zeros(len(owner), np.bool_)
    held_out[shuffled] = _place(owner) < quota[owner]
    return _cut("ratio", plays, held_out[pair])


def split_off_last_track(plays: Plays, share: float, seed: int) -> Split:
    """Of each listener with two tracks or more, the one they came to last, with all its plays; of tracks first played
    at the same time, the later row. Neither `share` nor `seed` matters."""
    owner, pair = _pairs(plays)
    oldest_first = np.argsort(plays.time, kind="stable")
    _, first_play = np.unique(pair[oldest_first], return_index=True)  # the pairs are 0..n-1, so in their order
    by_discovery = np.lexsort((first_play, owner))
    place, tracks = _place(owner), np.bincount(owner)[owner]
    held_out = np.zeros(len(owner), np.bool_)
    held_out[by_discovery] = (place == tracks - 1) & (tracks > 1)
    return _cut("leave_last", plays, held_out[pair])


def split_by_user(plays: Plays, share: float, seed: int) -> Split:
    """A random `share` of the listeners, at least one, is unknown to the past; of their plays, split again `by_time`,
    the older ones are given and the newer ones the future."""
    users, row = np.unique(plays.user, return_inverse=True)
    new = np.zeros(len(users), np.bool_)
    new[np.argsort(hash_to_unit_interval(users, seed), kind="stable")[: max(1, round(share * len(users)))]] = True
    theirs = split_by_time(plays.where(new[row]), share, seed)
    return Split("new_users", plays.where(~new[row]), theirs.future, theirs.past)


SPLITTERS: dict[str, Callable[[Plays, float, int], Split]] = {
    "time": split_by_time,
    "ratio": split_by_ratio,
    "leave_last": split_off_last_track,
    "new_users": split_by_user,
}


def _cut(kind: str, plays: Plays, held_out: Mask) -> Split:
    return Split(kind, plays.where(~held_out), plays.where(held_out))


def _pairs(plays: Plays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct (listener, track) pairs: the listener's number of each, ascending, int64 (pairs,), and the pair of each
    play, int64 (n,)."""
    _, user = np.unique(plays.user, return_inverse=True)
    tracks, track = np.unique(plays.track, return_inverse=True)
    distinct, pair = np.unique(user * max(len(tracks), 1) + track, return_inverse=True)
    return distinct // max(len(tracks), 1), pair


def _place(owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, 2 … within each run of equal values of `owner` (ascending)."""
    return np.arange(len(owner)) - np.searchsorted(owner, owner)
