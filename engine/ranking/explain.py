"""Explain a pick by the tracks that the listener has played."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle


def explain_by_history(bundle: ModelBundle, track_id: int, played: NDArray[np.int64], k: int = 2) -> list[int]:
    """Return up to k played tracks that contributed most to a pick.

    They are ranked by the cosine of their factors with those of the pick or, in a version without factors, by the
    weight of their vote for it. Only tracks with a positive cosine or weight are returned.

    Args:
        track_id: the pick.
        played: track ids, int64 (m,).

    Returns:
        track ids, best first.
    """
    row = bundle.item_row(track_id)
    rows = bundle.items.known_rows(played)
    if row is None or not len(rows):
        return []
    component = bundle.item_item_component
    neighbours = None if component is None else bundle.neighbours[component]
    if bundle.factors:
        norms = bundle.item_norms[rows]
        dots = bundle.item_factors[rows] @ bundle.item_factors[row]
        weights = np.divide(
            dots,
            norms,
            out=np.zeros_like(dots),
            where=norms > 0,
            # The norm of the pick itself does not change the order.
        )
    elif neighbours is not None:
        weights = np.array([neighbours.weight(int(r), row) for r in rows], np.float32)
    else:
        return []
    best = np.argsort(-weights, kind="stable")[:k]
    return [int(i) for i in bundle.items.ids[rows[best[weights[best] > 0]]]]
