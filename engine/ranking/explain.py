"""Why a track was picked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle, Vector


def explain_by_history(bundle: ModelBundle, track_id: int, played: NDArray[np.int64], k: int = 2) -> list[int]:
    """Of the `played` track ids, the k that speak most for the pick: by cosine of the item factors or, in a version
    without factors, by what they lend it as neighbours. Only those that speak for it at all."""
    row = bundle.item_row(track_id)
    rows = bundle.items.known_rows(played)
    if row is None or not len(rows):
        return []
    reasons = _reasons(bundle, row, rows)
    best = np.argsort(-reasons, kind="stable")[:k]
    return [int(i) for i in bundle.items.ids[rows[best[reasons[best] > 0]]]]


def _reasons(bundle: ModelBundle, row: int, rows: NDArray[np.int64]) -> Vector:
    if bundle.factors:
        norms = bundle.item_norms[rows]
        dots = bundle.item_factors[rows] @ bundle.item_factors[row]
        return np.asarray(np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0))
    lists = next((one for one in bundle.neighbours if one is not None), None)
    if lists is None:
        return np.zeros(len(rows), np.float32)
    return np.array([lists.weight(int(r), row) for r in rows], np.float32)
