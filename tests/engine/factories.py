"""Data whose right answer can be seen."""

from typing import Any

import numpy as np

from engine.bundle.model_bundle import ModelBundle
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.als import ALS
from engine.models.base import Trainer
from engine.training import TrainedVersion, TrainingConfig, train

TWO_FACTORS = ALS(factors=2, iterations=10)


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


def listener_history(track_ids: Any, *, disliked: Any = ()) -> UserItemPairs:
    """One listener's past: whole plays of `track_ids`, dislikes of `disliked`."""
    signals = [Signal.PLAY] * len(track_ids) + [Signal.DISLIKE] * len(disliked)
    k = len(signals)
    tracks = np.concatenate([np.asarray(track_ids, np.int64), np.asarray(disliked, np.int64)])
    last = np.full(k, np.iinfo(np.int64).max)
    return UserItemPairs.from_listener(
        Plays(np.zeros(k, np.int64), tracks, np.ones(k, np.float32), np.ones(k, bool), last, np.array(signals, np.int8))
    )


def make_config(*trainers: Trainer, **config: Any) -> TrainingConfig:
    """These families, blended where there are several, on one thread."""
    return TrainingConfig(EnsembleConfig(tuple(ComponentConfig(t) for t in trainers)), **({"threads": 1} | config))


def train_checkerboard(size: int = 20, *, trainer: Trainer = TWO_FACTORS, **config: Any) -> TrainedVersion:
    settings = make_config(trainer, **config)
    return train(checkerboard(size), np.arange(100, 100 + size), settings, version="v1")


def have_same_arrays(one: ModelBundle, other: ModelBundle) -> bool:
    names = ("item_factors", "item_norms", "gramian", "popularity", "popular_rows", "user_factors", "user_stamps")
    return (
        all(np.array_equal(getattr(one, n), getattr(other, n)) for n in names)
        and np.array_equal(one.items.ids, other.items.ids)
        and np.array_equal(one.users.ids, other.users.ids)
        and len(one.neighbours) == len(other.neighbours)
        and all(_same_neighbours(*both) for both in zip(one.neighbours, other.neighbours, strict=True))
    )


def _same_neighbours(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ("indptr", "indices", "weights"))
