"""Reduce plays to those of some listeners, where all of them would take too long."""

from __future__ import annotations

import numpy as np

from engine.data.plays import Plays


def sample_listeners(plays: Plays, max_pairs: int, seed: int) -> Plays:
    """Return all plays of random listeners, with at most `max_pairs` listener–track pairs if possible."""
    if len(plays) <= max_pairs:
        return plays
    users, rows = np.unique(plays.user, return_inverse=True)
    tracks, columns = np.unique(plays.track, return_inverse=True)
    pairs_per_user = np.bincount(np.unique(rows * len(tracks) + columns) // len(tracks))
    order = np.random.default_rng(seed).permutation(len(users))
    is_sampled = np.zeros(len(users), np.bool_)
    is_sampled[order[: max(1, np.searchsorted(np.cumsum(pairs_per_user[order]), max_pairs, "right"))]] = True
    return plays.where(is_sampled[rows])
