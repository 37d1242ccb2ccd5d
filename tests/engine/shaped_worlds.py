"""Small bundles with artists, albums, dates and duplicate recordings, for tests of ranking."""

from typing import Any

import numpy as np

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.track_features import NO_DATE, TrackFeatures
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.als import ALS
from engine.models.base import FittedModel, FoldInConfig

FIRST_ID = 1000  # so that no test passes by taking a row for an id
NOW = 1_700_000_000
LISTENER_ROW = 0


def make_features(artist: Any, **columns: Any) -> TrackFeatures:
    """Return the features of tracks by artist; by default each is a recording of its own, without dates."""
    n = len(artist)
    ids = FIRST_ID + np.arange(n)
    values = {
        "album": np.full(n, -1),
        "recording": ids,
        "released": np.full(n, NO_DATE),
        "added": np.zeros(n),
    } | columns
    return TrackFeatures(
        np.asarray(artist, np.int64),
        np.asarray(values["album"], np.int64),
        np.asarray(values["recording"], np.int64),
        np.asarray(values["released"], np.int32),
        np.asarray(values["added"], np.int64),
    )


def make_bundle(
    scores: Any, features: TrackFeatures | None = None, *, popularity: Any = None, vectors: Any = None
) -> ModelBundle:
    """Return a version in which these are the personal scores of the listener in `LISTENER_ROW`.

    Args:
        vectors: (n, f), added to the space of the factors; the scores do not depend on them.
        popularity: 1 for all tracks by default; nothing is known of a track without listeners.
    """
    scores = np.asarray(scores, np.float32)
    n = len(scores)
    extra = np.zeros((n, 0), np.float32) if vectors is None else np.asarray(vectors, np.float32)
    listeners = np.ones(n, np.float32) if popularity is None else np.asarray(popularity, np.float32)
    item_factors = np.hstack([scores[:, None], extra]) * (listeners[:, None] > 0)
    user_factors = np.zeros((1, item_factors.shape[1]), np.float32)
    user_factors[LISTENER_ROW, 0] = 1
    return assemble_bundle(
        version="v1",
        items=IdMap(FIRST_ID + np.arange(n)),
        popularity=listeners,
        ensemble=EnsembleConfig((ComponentConfig(ALS(factors=item_factors.shape[1])),)),
        fitted_models=[FittedModel((user_factors, item_factors), FoldInConfig())],
        users=IdMap(np.array([7])),
        features=features,
    )


def played(rows: Any, hours_ago: Any = 48, *, disliked: Any = ()) -> UserItemPairs:
    """Return a history of plays of these rows of a bundle, hours before `NOW`, and of dislikes."""
    k, d = len(rows), len(disliked)
    times = np.concatenate([np.broadcast_to(NOW - 3600 * np.asarray(hours_ago), k), np.full(d, NOW)])
    return UserItemPairs.from_listener(
        Plays(
            user=np.zeros(k + d, np.int64),
            track=FIRST_ID + np.concatenate([np.asarray(rows, np.int64), np.asarray(disliked, np.int64)]),
            count=np.ones(k + d, np.float32),
            qualified=np.ones(k + d, bool),
            time=times.astype(np.int64),
            signal=np.array([Signal.PLAY] * k + [Signal.DISLIKE] * d, np.int8),
        )
    )
