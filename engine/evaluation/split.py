"""Hold out plays to judge a configuration on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.plays import Plays


class Split(NamedTuple):
    """`kind`: "time" or "ratio"."""

    kind: str
    past: Plays
    future: Plays


def split(plays: Plays, share: float, seed: int) -> Split:
    """By time where the plays have times: the newest `share` is held out. Imported totals have none (all the same): a
    random `share` of the rows then, which flatters every model; the report says which it was."""
    order = np.sort(plays.time)
    cut = order[int(len(order) * (1 - share))] if len(order) else 0
    held_out = plays.time >= cut
    if held_out.mean() <= 2 * share if len(plays) else False:
        return Split("time", plays.where(~held_out), plays.where(held_out))
    held_out = np.random.default_rng(seed).random(len(plays)) < share
    return Split("ratio", plays.where(~held_out), plays.where(held_out))
