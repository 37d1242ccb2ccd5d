"""What neighbours of the played tracks say, without an array as long as the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from engine.bundle.model_bundle import Neighbours

Rows = NDArray[np.int64]
Votes = tuple[Rows, NDArray[np.float64]]
"""Distinct rows int64 (v,) and what each got, float64 (v,)."""


def votes(neighbours: Neighbours, rows: Rows, confidence: NDArray[np.float32], slots: NDArray[np.int32]) -> Votes:
    """Σ of confidence · neighbours over the played tracks, distinct `rows` int64 (k,)."""
    begins = neighbours.indptr[rows]
    lengths = neighbours.indptr[rows + 1] - begins
    before = np.cumsum(lengths) - lengths
    where = np.repeat(begins - before, lengths) + np.arange(lengths.sum())
    given = neighbours.weights[where] * np.repeat(confidence, lengths)
    return summed(neighbours.indices[where], given, slots)


def summed(rows: NDArray[np.integer], given: NDArray[np.floating], slots: NDArray[np.int32]) -> Votes:
    """Votes for the same row added up, without sorting: `slots`, int32 (n,), is written to at the rows alone."""
    count = np.arange(len(rows), dtype=np.int32)
    slots[rows] = count
    last = slots[rows] == count  # of the entries of a row, the one that was written last
    distinct = rows[last].astype(np.int64)
    slots[distinct] = np.arange(len(distinct), dtype=np.int32)
    return distinct, np.bincount(slots[rows], given, minlength=len(distinct)).astype(np.float64)
