"""Hold out plays to evaluate a configuration on. Every play is in exactly one part, and keeps its order there."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.data.plays import Plays
from engine.hashing import hash_pairs_to_unit_interval, hash_to_unit_interval

_MAX_SHARE_BY_COUNT = 0.5  # models must have something to learn from
_MIN_RETURNING_LISTENERS = 50  # with fewer, models cannot be told apart


class Split(NamedTuple):
    """Plays split into parts.

    Attributes:
        kind: how they were split, a key of `SPLITTERS`.
        past: the plays to fit a model on.
        future: the plays to evaluate it on.
        fold_in_plays: plays of listeners who are not in the past; the fitted model folds them in before it is
            evaluated on these listeners.
    """

    kind: str
    past: Plays
    future: Plays
    fold_in_plays: Plays = Plays.empty()


def split_plays(plays: Plays, kind: str, share: float, seed: int) -> Split:
    """Split plays in one of the ways of `SPLITTERS`.

    Args:
        kind: a key of `SPLITTERS`.
        share: the share of the plays, tracks or listeners (depending on the kind) to hold out, between 0 and 1.
        seed: of the random kinds.

    Raises:
        ValueError: for an unknown kind, or a share out of range.
    """
    if kind not in SPLITTERS:
        raise ValueError(f"kind of split: must be one of {', '.join(SPLITTERS)}; not {kind!r}")
    if not 0 < share < 1:
        raise ValueError(f"share to hold out: must be between 0 and 1; not {share}")
    return SPLITTERS[kind](plays, share, seed)


def hold_out_count(plays: Plays, kind: str, count: float, seed: int) -> Split:
    """Hold out about `count` plays, but at most half of all, in one of the ways of `SPLITTERS`.

    A choice between models is sound if it is made on about as many held-out plays per listener as the models are judged
    on afterwards: with fewer, families rank in another order. Holding out the same *share* of what is left after plays
    were held out for the judgement gives fewer.

    Args:
        kind: a key of `SPLITTERS`; with `leave_last` the count makes no difference.
        count: how many to hold out; none if it is not above 0.
        seed: of the random kinds.
    """
    if not len(plays) or count <= 0:
        return Split(kind, plays, Plays.empty())
    return split_plays(plays, kind, min(count / len(plays), _MAX_SHARE_BY_COUNT), seed)


def split_by_time(plays: Plays, share: float, seed: int) -> Split:
    """Hold out the newest `share` of the plays.

    Imported totals all have the same time, so that nothing, or far too much, would be newest; these are split by ratio.
    Where hardly anybody has plays on both sides, as when every listener has a single session, hardly anybody could be
    evaluated; then the last track of each listener is held out. A small installation, most of whose listeners return,
    keeps the split by time.
    """
    split = _hold_out_newest(plays, share, seed)
    if split.kind == "time" and (returning := _returning_listeners(split)) < _MIN_RETURNING_LISTENERS:
        by_last_track = split_off_last_track(plays, share, seed)
        if _returning_listeners(by_last_track) >= max(_MIN_RETURNING_LISTENERS, 2 * returning):
            return by_last_track
    return split


def _hold_out_newest(plays: Plays, share: float, seed: int) -> Split:
    oldest_first = np.sort(plays.time)
    held_out = plays.time >= oldest_first[int(len(plays) * (1 - share))] if len(plays) else np.zeros(0, np.bool_)
    if held_out.all() or held_out.mean() > 2 * share:
        return split_by_ratio(plays, share, seed)
    return Split("time", plays.where(~held_out), plays.where(held_out))


def _returning_listeners(split: Split) -> int:
    """Return how many listeners have plays both in the past and in the future."""
    return int(np.isin(np.unique(split.future.user), split.past.user).sum())


def split_by_ratio(plays: Plays, share: float, seed: int) -> Split:
    """Hold out a random `share` of each listener's tracks, rounded, but never all; a track's plays stay together.

    The tracks held out for one listener do not depend on the others. The hyperparameter search and the quality gate
    after it therefore agree on the held-out tracks of all listeners who did not play anything in between.
    """
    user_of_pair, pair_of_play = _group_by_pair(plays)
    tracks = np.bincount(user_of_pair)
    quota = np.minimum(np.floor(share * tracks + 0.5), tracks - 1)
    user, track = (ids[np.unique(pair_of_play, return_index=True)[1]] for ids in (plays.user, plays.track))
    shuffled = np.lexsort((hash_pairs_to_unit_interval(user, track, seed), user_of_pair))
    held_out = np.zeros(len(user_of_pair), np.bool_)
    held_out[shuffled] = _position_in_run(user_of_pair) < quota[user_of_pair]
    held_out_plays = held_out[pair_of_play]
    return Split("ratio", plays.where(~held_out_plays), plays.where(held_out_plays))


def split_off_last_track(plays: Plays, share: float, seed: int) -> Split:
    """Hold out the track that each listener discovered last, with all its plays ("leave one out").

    Listeners with a single track keep it. Of tracks first played in the same second, the later row was discovered
    last. Neither `share` nor `seed` is used.
    """
    user_of_pair, pair_of_play = _group_by_pair(plays)
    oldest_first = np.argsort(plays.time, kind="stable")
    # Pairs are numbered from 0, so that np.unique returns the first play of each in the order of the pairs.
    _, first_play = np.unique(pair_of_play[oldest_first], return_index=True)
    by_discovery = np.lexsort((first_play, user_of_pair))
    position, tracks = _position_in_run(user_of_pair), np.bincount(user_of_pair)[user_of_pair]
    held_out = np.zeros(len(user_of_pair), np.bool_)
    held_out[by_discovery] = (position == tracks - 1) & (tracks > 1)
    held_out_plays = held_out[pair_of_play]
    return Split("leave_last", plays.where(~held_out_plays), plays.where(held_out_plays))


def split_by_user(plays: Plays, share: float, seed: int) -> Split:
    """Remove a random `share` of the listeners, at least one, from the past.

    Their own plays are split by time: the older ones are for fold-in, the newer ones are the future.
    """
    users, user_of_play = np.unique(plays.user, return_inverse=True)
    is_new = np.zeros(len(users), np.bool_)
    in_random_order = np.argsort(hash_to_unit_interval(users, seed), kind="stable")
    is_new[in_random_order[: max(1, round(share * len(users)))]] = True
    new_users_split = _hold_out_newest(plays.where(is_new[user_of_play]), share, seed)
    return Split("new_users", plays.where(~is_new[user_of_play]), new_users_split.future, new_users_split.past)


SPLITTERS: dict[str, Callable[[Plays, float, int], Split]] = {
    "time": split_by_time,
    "ratio": split_by_ratio,
    "leave_last": split_off_last_track,
    "new_users": split_by_user,
}


def _group_by_pair(plays: Plays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the distinct (user, track) pairs, ordered by user, then track.

    Returns:
        The user number of each pair, int64 (pairs,), ascending; and the pair of each play, int64 (n,).
    """
    _, user = np.unique(plays.user, return_inverse=True)
    tracks, track = np.unique(plays.track, return_inverse=True)
    distinct, pair_of_play = np.unique(user * max(len(tracks), 1) + track, return_inverse=True)
    return distinct // max(len(tracks), 1), pair_of_play


def _position_in_run(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count 0, 1, 2, … within each run of equal values; `values` is ascending."""
    return np.arange(len(values)) - np.searchsorted(values, values)
