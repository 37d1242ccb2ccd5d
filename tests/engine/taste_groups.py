"""Random plays of listeners in taste groups, and their split by time."""

import numpy as np

from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs

N_LISTENERS, N_TRACKS, N_TASTES = 150, 200, 5
DAY = 86_400


def taste_group_plays(seed: int = 5) -> Plays:
    """Return plays where listeners prefer the tracks of their group, and popular tracks; counts and times vary."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, N_TRACKS + 1) ** 0.7
    rows = []
    for listener in range(N_LISTENERS):
        probability = popularity * np.where(np.arange(N_TRACKS) % N_TASTES == listener % N_TASTES, 12, 1)
        tracks = rng.choice(N_TRACKS, rng.integers(8, 30), p=probability / probability.sum(), replace=False)
        rows += [(listener, t, rng.integers(1, 30), rng.random() < 0.7, rng.integers(0, 100 * DAY)) for t in tracks]
    return Plays.from_rows(rows)


def taste_group_split(seed: int = 5) -> tuple[UserItemPairs, UserItemPairs, tuple[int, int]]:
    """Return the pairs of the past and of the future, and (listeners, tracks)."""
    all_plays = taste_group_plays(seed)
    is_future = all_plays.time > 75 * DAY
    parts = (all_plays.where(~is_future), all_plays.where(is_future))
    past, future = (UserItemPairs.merge(p.user, p.track, p) for p in parts)
    return past, future, (N_LISTENERS, N_TRACKS)
