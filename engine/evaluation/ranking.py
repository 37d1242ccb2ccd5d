"""Rank the whole catalogue for many users, in blocks of bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.evaluation.questions import NEW, mask_scores
from engine.retrieval.exact_search import top_k

Rows = NDArray[np.int64]
Scorer = Callable[[Rows], NDArray[np.float32]]
"""User rows int64 (b,) -> scores float32 (b, items): no NaN, and -inf for items that are never recommended.

Must return a fresh array each time, because the caller writes into it.
"""
BLOCK_BYTES = 64 << 20  # memory for the scores of one block
_CHUNKS_PER_BLOCK = 16  # divided among the threads


def rank_top_k(
    scorer: Scorer,
    users: Rows,
    past: sp.csr_matrix,
    k: int,
    *,
    question: str = NEW,
    threads: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> Rows:
    """Return each user's k best items out of those that answer the question.

    Args:
        scorer: see `Scorer`.
        users: int64 (n,), rows of the users.
        past: CSR bool (users, items).
        k: length of the lists.
        question: one of `QUESTIONS`; by default the items of the past are left out.
        threads: 0 for all cores.
        progress: called with the number of users done.

    Returns:
        int64 (n, k), best first, equal scores in the order of their rows; -1 where fewer than k items qualify.

    Raises:
        ValueError: the scores have the wrong shape, or the question is unknown.
    """
    items = past.shape[1]
    block_size = max(1, BLOCK_BYTES // (4 * max(items, 1)))
    lists = np.full((len(users), k), -1, np.int64)
    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for start in range(0, len(users), block_size):
            block = slice(start, min(start + block_size, len(users)))
            scores = scorer(users[block])
            if scores.shape != (len(users[block]), items):
                raise ValueError(
                    f"the scorer returned scores of shape {scores.shape}; expected {(len(users[block]), items)}, "
                    "one row per user and one column per item"
                )
            mask_scores(scores, past[users[block]], question)
            chunks = (np.array_split(array, _CHUNKS_PER_BLOCK) for array in (lists[block], scores))
            list(pool.map(_fill_lists, *chunks))
            progress(block.stop)
    return lists


def _fill_lists(lists: Rows, scores: NDArray[np.float32]) -> None:
    for user_list, user_scores in zip(lists, scores, strict=True):
        best = top_k(user_scores, len(user_list))
        user_list[: len(best)] = best
