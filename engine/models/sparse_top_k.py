"""Sparse item-item matrices with the k greatest entries of each row: the neighbours of item-item families."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.models.base import FitCallbacks

_BLOCK_PRODUCTS = 8_000_000  # products of a block of rows, about 100 MB


def top_k_per_dense_row(weights: NDArray[Any], k: int) -> sp.csr_matrix:
    """Keep the k entries of greatest absolute value in each row of a dense block.

    A threshold from a sample of the columns leaves a few more than k entries of most rows; the k greatest of these
    are selected: that takes a fifth of the time of partitioning whole rows.

    Args:
        weights: float (rows, items).

    Returns:
        CSR float32 (rows, items), columns ascending, without zeros.
    """
    rows, items = weights.shape
    magnitudes, k = np.abs(weights), min(k, items)
    stride = max(1, items // (8 * k))
    sample = magnitudes[:, ::stride]
    rank = k if stride == 1 else min(3 * k // (2 * stride) + 8, sample.shape[1])
    thresholds = _kth_greatest(sample, rank)
    if (too_high := np.count_nonzero(magnitudes >= thresholds, axis=1) < k).any():
        thresholds[too_high] = _kth_greatest(magnitudes[too_high], k)
    # Written so that NaN passes: a model with NaN must be refused, not repaired.
    entries = np.flatnonzero(~(magnitudes < thresholds) & (magnitudes != 0))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(entries // items, minlength=rows))])
    return top_k_per_row(sp.csr_matrix((weights.ravel()[entries], entries % items, indptr), weights.shape), k)


def _kth_greatest(values: NDArray[Any], k: int) -> NDArray[Any]:
    """Return the k-th greatest value of each row, float (rows, 1)."""
    position = values.shape[1] - k
    return np.asarray(np.partition(values, position, axis=1)[:, position, None])


def top_k_per_row(weights: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """Keep the k entries of greatest absolute value in each row; CSR float32, columns ascending, without zeros."""

    def top_k(row: NDArray[np.float32]) -> NDArray[np.int64]:
        return np.arange(len(row)) if len(row) <= k else np.argpartition(-np.abs(row), k - 1)[:k]

    top_entries = [top_k(weights.data[a:b]) + a for a, b in zip(weights.indptr, weights.indptr[1:], strict=False)]
    entries = np.concatenate(top_entries) if top_entries else np.zeros(0, np.int64)
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in top_entries])])
    top = sp.csr_matrix((weights.data[entries].astype(np.float32), weights.indices[entries], indptr), weights.shape)
    top.eliminate_zeros()
    top.sort_indices()
    return top


def top_k_products(
    left: sp.csr_matrix,
    right: sp.csr_matrix,
    k: int,
    callbacks: FitCallbacks,
    adjust: Callable[[sp.csr_matrix, int], None] = lambda block, first_row: None,
) -> sp.csr_matrix:
    """Multiply two sparse matrices and keep the k entries of greatest absolute value of each row, off the diagonal.

    Works on blocks of rows, so that only the products of one block are in memory.

    Args:
        left: CSR (items, users).
        right: CSR (users, items).
        adjust: called with each block of products and the number of its first row; may change the values in place.

    Returns:
        CSR float32 (items, items), columns ascending.
    """
    items = left.shape[0]
    products = np.cumsum(np.minimum((left != 0) @ np.diff(right.indptr), items))  # at most, up to each row
    blocks, begin = [], 0
    while begin < items:
        done = products[begin - 1] if begin else 0
        end = max(begin + 1, int(np.searchsorted(products, done + _BLOCK_PRODUCTS)))
        block = sp.csr_matrix(left[begin:end] @ right)
        adjust(block, begin)
        own_column = np.repeat(np.arange(begin, begin + block.shape[0]), np.diff(block.indptr))
        block.data[block.indices == own_column] = 0
        blocks.append(top_k_per_row(block, k))
        begin = end
        callbacks.on_step(min(begin, items), items)
    return sp.vstack(blocks, format="csr", dtype=np.float32)


def stack_row_blocks(blocks: list[sp.csr_matrix], item_rows: NDArray[np.int64], items: int) -> sp.csr_matrix:
    """Stack blocks of rows that cover some of the items only, and widen them to all items.

    Args:
        blocks: CSR (rows, len(item_rows)), len(item_rows) rows in all.
        item_rows: int64, ascending; the items that rows and columns of the blocks stand for.
        items: how many there are in all.

    Returns:
        CSR float32 (items, items), columns ascending, without zeros.
    """
    small = sp.vstack(blocks, format="csr")
    lengths = np.zeros(items, np.int64)
    lengths[item_rows] = np.diff(small.indptr)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    stacked = sp.csr_matrix((small.data, item_rows[small.indices], indptr), (items, items), dtype=np.float32)
    stacked.eliminate_zeros()
    stacked.sort_indices()
    return stacked
