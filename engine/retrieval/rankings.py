"""Orders in which tracks are offered whoever asks, walked as far as a page needs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.bundle.exclusion_mask import SearchWorkspace
from engine.bundle.model_bundle import ModelBundle
from engine.hashing import hash_to_unit_interval
from engine.retrieval.chunks import blocks
from engine.retrieval.top_k import TopK

Rows = NDArray[np.int64]
_MOST = 8192  # at once
_ROUNDS = 4


def by_popularity(bundle: ModelBundle, marks: SearchWorkspace, k: int) -> TopK:
    """Tracks that somebody played, and how many did."""
    steps = _steps(len(bundle.popular_rows), k)
    chunks = (bundle.popular_rows[step] for step in steps)
    rows = _walked((chunk[bundle.popularity[chunk] > 0] for chunk in chunks), marks, k)
    return rows, bundle.popularity[rows].astype(np.float64)


def shuffled(n: int, seed: int, marks: SearchWorkspace, k: int) -> TopK:
    """All n tracks in a pseudo-random order of each seed, and scores that fall from 1 to 0 along it."""
    bits = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
    places = _walked((_permuted(step, n, bits, seed) for step in _steps(4**bits, 2 * k)), marks, k)
    return places, 1 - np.arange(len(places)) / max(n, 1)


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
