"""A world in which tags explain everything: listeners like one tag, and tracks have one tag each."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.data.content_features import DENSE_FEATURES, ContentFeatures
from engine.data.plays import Plays

TAGS, TRACKS_PER_TAG, LISTENERS_PER_TAG = 4, 12, 15
NEW = 3  # tracks of each tag that nobody has played
DAY = 86_400


def track_tags() -> NDArray[np.int64]:
    """Return the tag of each track, int64 (tracks,); the last NEW of each tag are not played."""
    return np.repeat(np.arange(TAGS), TRACKS_PER_TAG)


def is_new() -> NDArray[np.bool_]:
    return np.tile(np.arange(TRACKS_PER_TAG) >= TRACKS_PER_TAG - NEW, TAGS)


def tag_plays() -> Plays:
    """Return plays where each listener has played 6 random tracks of one tag; listener u likes tag u mod 4."""
    rng = np.random.default_rng(3)
    rows = []
    for listener in range(TAGS * LISTENERS_PER_TAG):
        tracks = np.flatnonzero((track_tags() == listener % TAGS) & ~is_new())
        rows += [(listener, 500 + t, 1, True, int(rng.integers(100 * DAY))) for t in rng.permutation(tracks)[:6]]
    return Plays.from_rows(rows)


def track_ids() -> NDArray[np.int64]:
    return 500 + np.arange(TAGS * TRACKS_PER_TAG)


def tag_features() -> ContentFeatures:
    """Return the tags of the tracks, and nothing else."""
    n = TAGS * TRACKS_PER_TAG
    sparse = sp.csr_matrix((np.ones(n, np.float32), (np.arange(n), track_tags())), (n, TAGS))
    dense = np.full((n, len(DENSE_FEATURES)), np.nan, np.float32)
    return ContentFeatures(track_ids(), tuple(f"tag:{tag}" for tag in range(TAGS)), sparse, dense)
