"""Extend a trained version by tracks that came after its training, in memory.

The arrays with one number for each track get further rows, while factors and neighbours keep theirs: whatever reads
those does so only for tracks that somebody had played before the training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.data.content_features import ContentFeatures
from engine.data.track_features import TrackFeatures


@dataclass(frozen=True)
class FreshTracks:
    """k tracks that a version does not know.

    Attributes:
        track_ids: int64 (k,), ascending.
        features: k rows.
        content: k rows.
    """

    track_ids: NDArray[np.int64]
    features: TrackFeatures
    content: ContentFeatures

    def __len__(self) -> int:
        return len(self.track_ids)


def extend_bundle(bundle: ModelBundle, fresh: FreshTracks) -> ModelBundle:
    """Return a bundle with the n tracks of a version and k fresh ones, which have the rows n to n + k - 1.

    Nobody has played the fresh ones as far as the version knows; they have the vectors that its map predicts from their
    content. Everything else is shared with the version, which does not change, so that requests in progress go on with
    it.
    """
    n, k = len(bundle.items), len(fresh)
    if not k:
        return bundle
    zeros, content = np.zeros(k, np.float32), bundle.content
    if content is not None:
        content = content.with_updates(np.arange(n, n + k), content.predict(fresh.content))
    return replace(
        bundle,
        items=bundle.items.extend(fresh.track_ids),
        item_norms=np.concatenate([bundle.item_norms, zeros]),
        popularity=np.concatenate([bundle.popularity, zeros]),
        popular_rows=np.concatenate([bundle.popular_rows, np.arange(n, n + k)]),
        features=TrackFeatures.concatenate(bundle.features, fresh.features),
        stored_items=bundle.norm_sorted_items,
        content=content,
    )
