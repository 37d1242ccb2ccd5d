"""Rank all tracks for many listeners, in blocks of bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.retrieval.top_k import top_k

Rows = NDArray[np.int64]
Scorer = Callable[[Rows], NDArray[np.float32]]
"""Listeners' rows int64 (b,) → scores float32 (b, items), no NaN, -inf for what is never offered. A fresh array each
time: the caller writes into it."""
BLOCK_BYTES = 64 << 20  # of scores at once
_PARTS = 16  # of a block, shared out among the threads


def rank_top_k(
    scores: Scorer,
    listeners: Rows,
    past: sp.csr_matrix,
    k: int,
    *,
    threads: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Rows:
    """Each listener's k best tracks out of all but those of their past, as serving would rank them: int64 (listeners,
    k), best first, equal scores by row; -1 where a list ends early.

    past: CSR bool (users, items) · threads: 0 for all cores · progress: called with the listeners done. Raises
    ValueError where the scores have another shape.
    """
    lists = np.full((len(listeners), k), -1, np.int64)
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for block in _blocks(len(listeners), past.shape[1]):
            offered = _offered(scores, listeners[block], past)
            list(pool.map(_fill, np.array_split(lists[block], _PARTS), np.array_split(offered, _PARTS)))
            progress(block.stop)
    return lists


def _blocks(listeners: int, items: int) -> Iterator[slice]:
    size = max(1, BLOCK_BYTES // (4 * max(items, 1)))
    return (slice(start, min(start + size, listeners)) for start in range(0, listeners, size))


def _offered(scores: Scorer, listeners: Rows, past: sp.csr_matrix) -> NDArray[np.float32]:
    offered = scores(listeners)
    if offered.shape != (len(listeners), past.shape[1]):
        raise ValueError(f"scores are {offered.shape}, not (listeners, items) {(len(listeners), past.shape[1])}")
    offered[past[listeners].nonzero()] = -np.inf
    return offered


def _fill(lists: Rows, offered: NDArray[np.float32]) -> None:
    for place, scores in zip(lists, offered, strict=True):
        best = top_k(scores, len(place))
        place[: len(best)] = best
