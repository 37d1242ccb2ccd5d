"""Data whose right answer can be seen."""

import numpy as np

from engine.bundle import ModelBundle
from engine.plays import Plays
from engine.training import Trained, TrainingConfig, train


def checkerboard(size: int = 20) -> Plays:
    """Even listeners play even tracks, odd ones odd tracks; everybody has left out the track of their own number, so
    for each of them that one must come first. Two factors are enough to see it. Ids are numbers + 100, so that no row
    passes for an id."""
    return Plays.from_rows(
        (100 + user, 100 + track, 1, True, 1_700_000_000 + (7 * track + 3 * user) % size)
        for user in range(size)
        for track in range(size)
        if user % 2 == track % 2 and user != track
    )


def trained_checkerboard(size: int = 20, **config: object) -> Trained:
    settings = TrainingConfig(**({"factors": 2, "iterations": 10, "threads": 1} | config))  # type: ignore[arg-type]
    return train(checkerboard(size), np.arange(100, 100 + size), settings, version="v1")


def same_arrays(one: ModelBundle, other: ModelBundle) -> bool:
    names = ("item_factors", "item_norms", "gramian", "popularity", "popular_rows", "user_factors", "user_stamps")
    return (
        all(np.array_equal(getattr(one, n), getattr(other, n)) for n in names)
        and np.array_equal(one.items.ids, other.items.ids)
        and np.array_equal(one.users.ids, other.users.ids)
    )
