"""Candidates that do not depend on the listener's history: the popular tracks, and a pseudo-random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.hashing import hash_to_unit_interval
from engine.retrieval.candidates import Query
from engine.retrieval.chunks import blocks
from engine.retrieval.top_k import TopK

Rows = NDArray[np.int64]
_MOST = 8192  # at once
_ROUNDS = 4


def popular(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by the number of listeners who played them."""
    steps = _steps(len(bundle.popular_rows), k)
    chunks = (bundle.popular_rows[step] for step in steps)
    rows = _walked((chunk[bundle.popularity[chunk] > 0] for chunk in chunks), workspace, k)
    return rows, bundle.popularity[rows].astype(np.float64)


def random(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Put all tracks in a pseudo-random order that depends on the seed alone; scores fall from 1 to 0 along it."""
    n = len(bundle.items)
    bits = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
    rows = _walked((_permuted(step, n, bits, query.seed) for step in _steps(4**bits, 2 * k)), workspace, k)
    return rows, 1 - np.arange(len(rows)) / max(n, 1)


def _walked(chunks: Iterator[Rows], marks: SearchWorkspace, k: int) -> Rows:
    """The first k free rows of the chunks."""
    found: list[Rows] = []
    missing = k
    for chunk in chunks:
        if missing < 1:
            break
        found.append(chunk[marks.free(chunk)][:missing])
        missing -= len(found[-1])
    return np.concatenate(found).astype(np.int64) if found else np.zeros(0, np.int64)


def _steps(n: int, k: int) -> Iterator[slice]:
    """They grow, as more and more turns out not to be free."""
    return blocks(n, max(32, 2 * k), _MOST)


def _permuted(step: slice, n: int, bits: int, seed: int) -> Rows:
    """Those below n of a permutation of 0..4^bits: a Feistel network (Luby & Rackoff 1988), keyed by the seed."""
    numbers = np.arange(step.start, step.stop, dtype=np.int64)
    left, right = numbers >> bits, numbers & ((1 << bits) - 1)
    for turn in range(_ROUNDS):
        mixed = (hash_to_unit_interval(right + (turn << 40), seed) * 2**bits).astype(np.int64) & ((1 << bits) - 1)
        left, right = right, left ^ mixed
    rows = (left << bits) | right
    return rows[rows < n]
