"""Candidates that do not depend on the listener's history: the popular tracks, and a pseudo-random order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.bundle.model_bundle import ModelBundle
from engine.bundle.workspace import SearchWorkspace
from engine.hashing import hash_to_unit_interval
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import Floats, TopK, growing_blocks, top_k_of_rows

Rows = NDArray[np.int64]
# Blocks begin small, for a slate is usually full after the first, and grow, as more rows turn out to be unavailable.
_FIRST, _LARGEST = 32, 8192
_FEISTEL_ROUNDS = 4


def popular(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Rank tracks by the number of listeners who played them."""
    if (only := workspace.only) is not None:
        played = only[bundle.popularity[only] > 0]
        return top_k_of_rows(played, bundle.popularity[played].astype(np.float64), k)
    blocks = growing_blocks(len(bundle.popular_rows), max(_FIRST, 2 * k), _LARGEST)
    chunks = (bundle.popular_rows[block] for block in blocks)
    rows = _first_available((chunk[bundle.popularity[chunk] > 0] for chunk in chunks), workspace, k)
    return rows, bundle.popularity[rows].astype(np.float64)


def score_popular(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, rows: Rows) -> Floats:
    """Return the number of listeners; NaN for tracks that nobody played."""
    return np.where(bundle.popularity[rows] > 0, bundle.popularity[rows].astype(np.float64), np.nan)


def random(bundle: ModelBundle, query: Query, workspace: SearchWorkspace, k: int) -> TopK:
    """Put all tracks in a pseudo-random order that depends on the seed alone; scores fall from 1 to 0 along it."""
    n = len(bundle.items)
    if (only := workspace.only) is not None:
        rows = only[np.argsort(hash_to_unit_interval(only, query.seed), kind="stable")][:k]
        return rows, 1 - np.arange(len(rows)) / max(n, 1)
    bits = max(1, (max(n - 1, 1).bit_length() + 1) // 2)
    blocks = growing_blocks(4**bits, max(_FIRST, 4 * k), _LARGEST)  # up to three quarters of the numbers are no rows
    rows = _first_available((_permute(block, n, bits, query.seed) for block in blocks), workspace, k)
    return rows, 1 - np.arange(len(rows)) / max(n, 1)


def _first_available(chunks: Iterator[Rows], workspace: SearchWorkspace, k: int) -> Rows:
    """Return the first k available rows of the chunks, reading no more of them than needed."""
    rows = np.zeros(0, np.int64)
    while len(rows) < k and (chunk := next(chunks, None)) is not None:
        rows = np.append(rows, chunk[workspace.available(chunk)])
    return rows[:k]


def _permute(block: slice, n: int, bits: int, seed: int) -> Rows:
    """Return a block of a permutation of 0..4^bits without the numbers from n on.

    The permutation is a Feistel network (Luby & Rackoff 1988, "How to Construct Pseudorandom Permutations from
    Pseudorandom Functions"), keyed by the seed.
    """
    numbers = np.arange(block.start, block.stop, dtype=np.int64)
    left, right = numbers >> bits, numbers & ((1 << bits) - 1)
    for feistel_round in range(_FEISTEL_ROUNDS):
        uniform = hash_to_unit_interval(right + (feistel_round << 40), seed)
        mixed = (uniform * 2**bits).astype(np.int64) & ((1 << bits) - 1)
        left, right = right, left ^ mixed
    rows = (left << bits) | right
    return rows[rows < n]
