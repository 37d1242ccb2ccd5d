"""Build plays whose right recommendations are obvious, and versions trained on them."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.als import ALS
from engine.models.base import Trainer
from engine.pipeline import PERSONAL
from engine.retrieval.exact_search import ScoreTerms
from engine.training import TrainedVersion, TrainingConfig, train

# For tests about anything but known tracks.
ONLY_NEW = replace(PERSONAL, dials=replace(PERSONAL.dials, familiarity=0.0))
TWO_FACTORS = ALS(factors=2, iterations=10)


def checkerboard(size: int = 20) -> Plays:
    """Return plays where listener u has played all tracks t with the parity of u, except track u itself.

    That track must therefore be recommended first, and two factors are enough to see it. The ids are these numbers plus
    100, so that no test passes by taking a row number for an id.
    """
    return Plays.from_rows(
        (100 + user, 100 + track, 1, True, 1_700_000_000 + (7 * track + 3 * user) % size)
        for user in range(size)
        for track in range(size)
        if user % 2 == track % 2 and user != track
    )


def listener_history(track_ids: Any, *, disliked: Any = ()) -> UserItemPairs:
    """Return the past of one listener: complete plays of `track_ids`, and dislikes of `disliked`."""
    signals = [Signal.PLAY] * len(track_ids) + [Signal.DISLIKE] * len(disliked)
    k = len(signals)
    tracks = np.concatenate([np.asarray(track_ids, np.int64), np.asarray(disliked, np.int64)])
    latest = np.full(k, np.iinfo(np.int64).max)
    return UserItemPairs.from_listener(
        Plays(
            user=np.zeros(k, np.int64),
            track=tracks,
            count=np.ones(k, np.float32),
            qualified=np.ones(k, bool),
            time=latest,
            signal=np.array(signals, np.int8),
        )
    )


def all_scores(terms: ScoreTerms, bundle: ModelBundle) -> NDArray[np.float32]:
    """Return the scores of all tracks, float32 (n,), -inf for those that are not offered."""
    scores = terms.scores_of_rows(bundle, np.arange(len(bundle.items)))
    offered = bundle.popularity > 0
    offered &= (scores != 0) | (not terms.omit_zeros)
    return np.where(offered, scores, -np.inf).astype(np.float32)


def make_config(*trainers: Trainer, **options: Any) -> TrainingConfig:
    """Return the configuration of an ensemble of `trainers`, on one thread."""
    return TrainingConfig(EnsembleConfig(tuple(ComponentConfig(t) for t in trainers)), **({"threads": 1} | options))


def train_checkerboard(size: int = 20, *, trainer: Trainer = TWO_FACTORS, **options: Any) -> TrainedVersion:
    config = make_config(trainer, **options)
    return train(checkerboard(size), np.arange(100, 100 + size), config, version="v1")


def have_same_arrays(first: ModelBundle, second: ModelBundle) -> bool:
    names = ("item_factors", "item_norms", "gramian", "popularity", "popular_rows", "user_factors", "user_stamps")
    return (
        all(np.array_equal(getattr(first, n), getattr(second, n)) for n in names)
        and np.array_equal(first.items.ids, second.items.ids)
        and np.array_equal(first.users.ids, second.users.ids)
        and len(first.neighbours) == len(second.neighbours)
        and all(_are_same_neighbours(a, b) for a, b in zip(first.neighbours, second.neighbours, strict=True))
    )


def _are_same_neighbours(first: Any, second: Any) -> bool:
    if first is None or second is None:
        return first is second
    return all(np.array_equal(getattr(first, n), getattr(second, n)) for n in ("indptr", "indices", "weights"))
