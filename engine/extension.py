"""Extend a trained version by tracks that came after its training, in memory.

The arrays with one number for each track get further rows, while factors and neighbours keep theirs: whatever reads
those does so only for tracks that somebody had played before the training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from engine.bundle.factor_space import ContentSpace
from engine.bundle.model_bundle import ModelBundle, Vector
from engine.data.content_features import ContentFeatures
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs
from engine.retrieval.fold_in import item_fold_in


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


def extend_bundle(bundle: ModelBundle, fresh: FreshTracks, plays: Plays) -> ModelBundle:
    """Return a bundle with the n tracks of a version and k fresh ones, which have the rows n to n + k - 1.

    Nobody has played the fresh ones as far as the version knows; they have the vectors that its map predicts from their
    content. Plays since the training move the vectors of fresh tracks, and of others that nobody had played, to what
    their listeners like. Everything else is shared with the version, which does not change, so that requests in
    progress go on with it.

    Args:
        bundle: the version.
        fresh: tracks that it does not know.
        plays: since its training, of any tracks and listeners. Those of listeners whom it does not know do not count,
            and in a version without factors none does.
    """
    n, k = len(bundle.items), len(fresh)
    if not k and not len(plays):
        return bundle
    zeros = np.zeros(k, np.float32)
    items, popularity = bundle.items.extend(fresh.track_ids), np.concatenate([bundle.popularity, zeros])
    return replace(
        bundle,
        items=items,
        item_norms=np.concatenate([bundle.item_norms, zeros]),
        popularity=popularity,
        popular_rows=np.concatenate([bundle.popular_rows, np.arange(n, n + k)]),
        features=TrackFeatures.concatenate(bundle.features, fresh.features),
        stored_items=bundle.norm_sorted_items,
        trained=bundle,
        content=_update_content(bundle, fresh, UserItemPairs.from_plays(plays, bundle.users, items), popularity),
    )


def _update_content(
    bundle: ModelBundle, fresh: FreshTracks, pairs: UserItemPairs, popularity: Vector
) -> ContentSpace | None:
    """Return the content space with the vectors of the fresh tracks, and of unplayed ones that have listeners now.

    Args:
        pairs: since the training, with rows of the version as listeners and of the extended bundle as tracks.
        popularity: of the extended bundle.
    """
    content, n = bundle.content, len(bundle.items)
    if content is None or bundle.space is None:
        return content
    vectors = dict(enumerate(content.predict(fresh.content), n))
    if bundle.factor_component is not None:
        pairs = pairs.where(popularity[pairs.track] == 0)
        listeners = np.bincount(pairs.track, minlength=len(popularity)).astype(np.float32)
        confidence = bundle.space.confidence.compute(pairs, listeners, bundle.statistics)
        order = np.argsort(pairs.track, kind="stable")
        rows, starts = np.unique(pairs.track[order], return_index=True)
        for row, of_track in zip(rows.tolist(), np.split(order, starts)[1:], strict=True):
            prior = vectors[row] if row >= n else content.vectors_of(np.array([row]))[0]
            vectors[row] = item_fold_in(bundle, prior, bundle.user_factors[pairs.user[of_track]], confidence[of_track])
    updated = sorted(vectors)
    if not updated:
        return content
    return content.with_updates(np.array(updated, np.int64), np.stack([vectors[row] for row in updated]))
