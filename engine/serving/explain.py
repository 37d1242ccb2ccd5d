"""Why a track was picked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle import ModelBundle


def because(bundle: ModelBundle, track_id: int, played: NDArray[np.int64], k: int = 2) -> list[int]:
    """Of the `played` track ids, the k whose item factors have the greatest cosine with the pick's; only positive."""
    row = bundle.item_row(track_id)
    rows = bundle.items.known_rows(played)
    rows = rows[bundle.item_norms[rows] > 0] if len(rows) else rows
    if row is None or not len(rows):
        return []
    cosines = (bundle.item_factors[rows] @ bundle.item_factors[row]) / bundle.item_norms[rows]
    best = np.argsort(-cosines, kind="stable")[:k]
    return [int(i) for i in bundle.items.ids[rows[best[cosines[best] > 0]]]]
