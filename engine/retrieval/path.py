"""A path from one track to another on which neighbouring tracks are similar."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import FORBIDDEN

Ids = NDArray[np.int64]
MIN_SINE = 1e-6  # of the angle between the ends, below which its arc is not defined


class TrackPath(NamedTuple):
    """Tracks from one to another.

    Attributes:
        track_ids: with both ends, int64 (k,).
        distances: from each track to the next, 1 - cosine of their factors, float64 (k - 1,).
    """

    track_ids: Ids
    distances: NDArray[np.float64]


def find_path(
    bundle: ModelBundle, start: int, end: int, length: int, forbidden: Ids, unavailable: Ids
) -> TrackPath | None:
    """Find tracks that lead from one to another by small steps.

    The arc between the directions of both tracks is cut into equal angles (spherical linear interpolation, Shoemake
    1985), and at each point the track nearest to it is taken, once. The tracks between the ends are then put in the
    order in which they come nearer to the end. A point of the arc is a weighted sum of its ends, and so is the cosine
    with it, so that two passes over the catalogue are enough for a path of any length.

    Args:
        start, end: ids of two different tracks.
        length: of the path, with both ends, at least 2. It is shorter only if there are no further tracks.
        forbidden: ids of tracks that must not lie between the ends, int64 (k,).
        unavailable: further ones, a long list that many queries share, int64 (k,).

    Returns:
        None if the version has no factors of one of the ends.
    """
    rows = [bundle.items.row(track_id) for track_id in (start, end)]
    ends = np.array([row for row in rows if row is not None and bundle.item_norms[row] > 0], np.int64)
    if len(ends) < len(rows):
        return None
    with bundle.workspaces.borrow() as workspace:
        workspace.mask = bundle.workspaces.mask(unavailable)
        workspace.exclude(np.append(bundle.items.known_rows(forbidden), ends), FORBIDDEN)
        offered = np.flatnonzero(~workspace.unavailable & (bundle.item_norms > 0))
    directions = bundle.item_factors[ends] / bundle.item_norms[ends, None]
    cosines = (bundle.item_factors @ directions.T)[offered] / bundle.item_norms[offered, None]
    angle = math.acos(float(np.clip(directions[0] @ directions[1], -1, 1)))
    between: list[int] = []
    for position in np.linspace(0, 1, length)[1:-1]:
        if len(between) == len(offered):
            break
        weights = np.array([1 - position, position])
        if math.sin(angle) > MIN_SINE:
            weights = np.sin(weights * angle) / math.sin(angle)
        scores = cosines @ weights.astype(np.float32)
        scores[between] = -np.inf
        between.append(int(scores.argmax()))
    between.sort(key=lambda row: float(cosines[row, 1] - cosines[row, 0]))
    path = np.concatenate([ends[:1], offered[np.array(between, np.int64)], ends[1:]])
    factors = bundle.item_factors[path].astype(np.float64) / bundle.item_norms[path, None]
    return TrackPath(bundle.items.ids[path], np.maximum(0.0, 1 - (factors[:-1] * factors[1:]).sum(axis=1)))
