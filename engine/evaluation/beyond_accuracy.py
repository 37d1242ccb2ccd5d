"""Metrics beyond accuracy: novelty, diversity, coverage and popularity bias of the recommended lists.

Throughout, `lists` is int64 (users, max_k), item rows from the best on; a list shorter than max_k ends in -1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.evaluation.metrics import PerUserMetric

Lists = NDArray[np.int64]
DIVERSITY_SAMPLE_SIZE = 1_000  # a sample of this many lists puts the mean within about ±.01
_LISTS_PER_BLOCK = 50


def novelty(popularity: NDArray[np.float32], users: int) -> NDArray[np.float64]:
    """Return each item's self-information in bits, -log2(its listeners / all users): how surprising it is.

    Castells, Vargas & Wang, "Novelty and Diversity Metrics for Recommender Systems", 2011. An item that nobody played
    counts as if it had a single listener.

    Args:
        popularity: float32 (items,), listeners of each item.
        users: how many users there are.

    Returns:
        float64 (items,).
    """
    return -np.log2(np.maximum(popularity, 1) / max(users, 1), dtype=np.float64)


def list_means(item_values: NDArray[np.floating], lists: Lists, ks: Sequence[int]) -> PerUserMetric:
    """Return the mean of `item_values` over the first K items of each list: float64 (users, len(ks)).

    Args:
        item_values: (items,), a value of each item, such as its novelty.
        lists: int64 (users, max_k), see the module.
        ks: cut-offs in 1..max_k.

    Returns:
        float64 (users, len(ks)); NaN for an empty list.
    """
    is_item = lists >= 0
    columns = np.asarray(ks) - 1
    sums = np.cumsum(np.where(is_item, item_values[lists], 0), axis=1, dtype=np.float64)[:, columns]
    lengths = np.cumsum(is_item, axis=1)[:, columns]
    return np.asarray(np.divide(sums, lengths, out=np.full(sums.shape, np.nan), where=lengths > 0))


def item_vectors(past: sp.csr_matrix) -> sp.csr_matrix:
    """Return the vectors by whose cosine items are compared: the users who played each, scaled to length 1.

    Args:
        past: CSR bool (users, items).

    Returns:
        CSR float32 (items, users); an empty row for an item that nobody played.
    """
    vectors = past.T.tocsr()
    listeners = np.diff(vectors.indptr)
    values = np.repeat(1 / np.sqrt(np.maximum(listeners, 1), dtype=np.float32), listeners)
    return sp.csr_matrix((values, vectors.indices, vectors.indptr), shape=vectors.shape)


def intra_list_diversity(vectors: sp.csr_matrix, lists: Lists, ks: Sequence[int], seed: int) -> PerUserMetric:
    """Return 1 minus the mean cosine over all pairs of items in a list (Ziegler et al. 2005).

    Measured on a seeded sample of DIVERSITY_SAMPLE_SIZE lists, so that the cost does not grow with the users. An item
    that nobody played is similar to no other.

    Args:
        vectors: CSR float32 (items, users), see `item_vectors`.
        lists: int64 (users, max_k), see the module.
        ks: cut-offs in 1..max_k.
        seed: of the sample.

    Returns:
        float64 (users, len(ks)); NaN outside the sample and for lists of fewer than two items.
    """
    sample = np.random.default_rng(seed).permutation(len(lists))[:DIVERSITY_SAMPLE_SIZE]
    values = np.full((len(lists), len(ks)), np.nan)
    for start in range(0, len(sample), _LISTS_PER_BLOCK):
        rows = sample[start : start + _LISTS_PER_BLOCK]
        values[rows] = np.stack([_diversity_of_lists(vectors, lists[rows, :k]) for k in ks], axis=1)
    return values


def vector_diversity(vectors: NDArray[np.float32], lists: Lists, ks: Sequence[int]) -> PerUserMetric:
    """Return 1 minus the mean cosine of the vectors of all pairs of items in a list.

    Unlike `intra_list_diversity` it compares items by what a model knows of them, so that the lists of different models
    cannot be compared by it. An item without a vector is similar to no other.

    Args:
        vectors: float32 (items, f), such as factors; zeros where unknown.
        lists: int64 (users, max_k), see the module.
        ks: cut-offs in 1..max_k.

    Returns:
        float64 (users, len(ks)); NaN for a list of fewer than two items.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    units = np.divide(vectors, lengths[:, None], out=np.zeros_like(vectors), where=lengths[:, None] > 0)
    of_lists = np.where((lists >= 0)[:, :, None], units[lists], 0)
    columns = np.asarray(ks) - 1
    # The squared length of the sum is the sum of all cosines, that of each item with itself included.
    sums = np.cumsum(of_lists, axis=1, dtype=np.float64)[:, columns]
    own = np.cumsum(np.square(of_lists).sum(axis=2), axis=1)[:, columns]
    counts = np.cumsum(lists >= 0, axis=1)[:, columns]
    pairs = counts * (counts - 1.0)
    cosines = np.square(sums).sum(axis=2) - own
    return np.asarray(1 - np.divide(cosines, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0))


def exposure_counts(lists: Lists, weights: NDArray[np.generic], items: int) -> NDArray[np.float64]:
    """Return how often each item is recommended when the users' lists count `weights` times.

    Args:
        lists: int64 (users, max_k), see the module.
        weights: (r, users), r weightings of the users.
        items: how many items there are.

    Returns:
        float64 (r, items).
    """
    return np.asarray(_list_matrix(lists, items).T @ weights.T.astype(np.float64)).T


def coverage(exposure: NDArray[np.float64], is_played: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of the played items that are on anybody's list.

    Args:
        exposure: float64 (r, items), see `exposure_counts`.
        is_played: bool (items,), the items that anybody played.

    Returns:
        float64 (r,) in 0..1.
    """
    return np.asarray((exposure[:, is_played] > 0).sum(axis=1) / max(is_played.sum(), 1))


def gini(exposure: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Gini index of exposure: 0 if all items are recommended equally often, near 1 if only a few are.

    Args:
        exposure: float64 (r, items), see `exposure_counts`.

    Returns:
        float64 (r,); 0 where nothing is recommended at all.
    """
    items = exposure.shape[1]
    weighted_sum = np.sort(exposure, axis=1) @ (2 * np.arange(1, items + 1) - items - 1)
    total = items * exposure.sum(axis=1)
    return np.asarray(np.divide(weighted_sum, total, out=np.zeros(len(exposure)), where=total > 0))


def artist_exposure(exposure: NDArray[np.float64], artist: NDArray[np.int64]) -> NDArray[np.float64]:
    """Add up the exposure of the items of each artist; an item of an unknown artist counts as one of its own.

    Args:
        exposure: float64 (r, items), see `exposure_counts`.
        artist: int64 (items,), below 0 where the artist is unknown.

    Returns:
        float64 (r, artists), in no order that means anything.
    """
    own_numbers = np.where(artist < 0, -1 - np.arange(len(artist)), artist)
    artists, number = np.unique(own_numbers, return_inverse=True)
    shape = (len(artist), len(artists))
    of_artist = sp.csr_matrix((np.ones(len(artist)), (np.arange(len(artist)), number)), shape=shape)
    return np.asarray(exposure @ of_artist)


def popularity_gap(
    popularity: NDArray[np.float32], past: sp.csr_matrix, lists: Lists, ks: Sequence[int]
) -> PerUserMetric:
    """Return how far the popularity of the recommended items is from that of the user's own ones.

    Popularity is the share of the played items that are less popular, half of those as popular included, so that one
    hit does not outweigh a hundred rarities (after Abdollahpouri et al., "The Connection Between Popularity Bias,
    Calibration, and Fairness in Recommendation", 2020).

    Args:
        popularity: float32 (items,), listeners of each item.
        past: CSR bool (users, items), what the users played.
        lists: int64 (users, max_k), see the module.
        ks: cut-offs in 1..max_k.

    Returns:
        float64 (users, len(ks)) in 0..1, the distance of the two means; NaN for an empty list or past.
    """
    played = np.sort(popularity[popularity > 0])
    ranks = np.searchsorted(played, popularity, "left") + np.searchsorted(played, popularity, "right")
    percentiles = ranks / max(2 * len(played), 1)
    counts = np.diff(past.indptr)
    own = np.divide(past @ percentiles, counts, out=np.full(len(counts), np.nan), where=counts > 0)
    return np.asarray(np.abs(list_means(percentiles, lists, ks) - own[:, None]))


def _diversity_of_lists(vectors: sp.csr_matrix, lists: Lists) -> NDArray[np.float64]:
    """Return the diversity of whole lists, without comparing pair by pair.

    The squared length of a sum of unit vectors is the sum of the cosines of all ordered pairs, including each vector
    with itself; subtracting the latter, one for each vector that is not empty, leaves the pairs of different items.
    """
    list_matrix = _list_matrix(lists, vectors.shape[0])
    sums = list_matrix @ vectors
    sums.data **= 2
    self_cosines = list_matrix @ (np.diff(vectors.indptr) > 0).astype(np.float64)
    cosines = np.asarray(sums.sum(axis=1)).ravel() - self_cosines
    lengths = np.diff(list_matrix.indptr)
    pairs = lengths * (lengths - 1.0)
    return np.asarray(1 - np.divide(cosines, pairs, out=np.full(len(lists), np.nan), where=pairs > 0))


def _list_matrix(lists: Lists, items: int) -> sp.csr_matrix:
    """Return CSR float32 (users, items), 1 where a list contains an item."""
    is_item = lists >= 0
    indptr = np.concatenate([[0], np.cumsum(is_item.sum(axis=1))])
    return sp.csr_matrix((np.ones(indptr[-1], np.float32), lists[is_item], indptr), shape=(len(lists), items))
