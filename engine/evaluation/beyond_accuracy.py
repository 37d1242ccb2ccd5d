"""What a listener gets besides the right tracks: novelty, diversity, coverage, popularity bias.

Lists are int64 (users, Kmax), rows of tracks, best first; a list that is shorter than Kmax ends in -1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Lists = NDArray[np.int64]
PerUserMetric = NDArray[np.float64]
DIVERSITY_LISTS = 1_000  # a sample that size puts the mean within about ±.01
_LISTS_AT_ONCE = 50


def novelty(popularity: NDArray[np.float32], users: int) -> NDArray[np.float64]:
    """Self-information of each track in bits, -log2(its listeners / all listeners), float64 (items,): how unlikely one
    is to know it already (Castells, Vargas & Wang 2011). A track nobody played counts as one with a single listener.

    popularity: float32 (items,), listeners of each track · users: how many listeners there are.
    """
    return -np.log2(np.maximum(popularity, 1) / max(users, 1), dtype=np.float64)


def list_means(worth: NDArray[np.floating], lists: Lists, ks: Sequence[int]) -> PerUserMetric:
    """Mean over the first K of what each track is `worth` (items,): float64 (users, len(ks)), NaN for an empty list."""
    listed = lists >= 0
    sums = np.cumsum(np.where(listed, worth[lists], 0), axis=1, dtype=np.float64)[:, np.asarray(ks) - 1]
    lengths = np.cumsum(listed, axis=1)[:, np.asarray(ks) - 1]
    return np.asarray(np.divide(sums, lengths, out=np.full(sums.shape, np.nan), where=lengths > 0))


def item_vectors(past: sp.csr_matrix) -> sp.csr_matrix:
    """What tracks are compared by: who played them. CSR float32 (items, users), rows of length 1, or 0 for a track
    nobody played. past: CSR bool (users, items)."""
    vectors = past.T.tocsr()
    listeners = np.diff(vectors.indptr)
    lengths = np.repeat(1 / np.sqrt(np.maximum(listeners, 1), dtype=np.float32), listeners)
    return sp.csr_matrix((lengths, vectors.indices, vectors.indptr), shape=vectors.shape)


def intra_list_diversity(vectors: sp.csr_matrix, lists: Lists, ks: Sequence[int], seed: int) -> PerUserMetric:
    """Intra-list diversity, 1 - mean cosine over the pairs of a list (Ziegler et al. 2005): float64 (users, len(ks)).

    A track nobody played is like no other. NaN where a list has fewer than two tracks and, so that the cost does not
    grow with the listeners, outside of a seeded sample of DIVERSITY_LISTS lists. vectors: see `track_vectors`.
    """
    sample = np.random.default_rng(seed).permutation(len(lists))[:DIVERSITY_LISTS]
    values = np.full((len(lists), len(ks)), np.nan)
    for start in range(0, len(sample), _LISTS_AT_ONCE):
        rows = sample[start : start + _LISTS_AT_ONCE]
        values[rows] = np.stack([_diversity(vectors, lists[rows, :k]) for k in ks], axis=1)
    return values


def exposure_counts(lists: Lists, weights: NDArray[np.generic], tracks: int) -> NDArray[np.float64]:
    """How often each track is listed, float64 (r, tracks), where the list of a listener counts `weights` (r, users)."""
    return np.asarray(_indicator(lists, tracks).T @ weights.T.astype(np.float64)).T


def coverage(exposed: NDArray[np.float64], played: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Catalogue coverage, float64 (r,), in 0..1: share of the `played` (tracks,) tracks that are in anybody's list.

    exposed: float64 (r, tracks), how often each is listed.
    """
    return np.asarray((exposed[:, played] > 0).sum(axis=1) / max(played.sum(), 1))


def gini(exposed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gini index of exposure over all tracks, float64 (r,): 0 all are listed equally often, towards 1 few have it all.

    exposed: float64 (r, tracks), how often each is listed; no list at all gives 0.
    """
    tracks = exposed.shape[1]
    above = np.sort(exposed, axis=1) @ (2 * np.arange(1, tracks + 1) - tracks - 1)
    total = tracks * exposed.sum(axis=1)
    return np.asarray(np.divide(above, total, out=np.zeros(len(exposed)), where=total > 0))


def _diversity(vectors: sp.csr_matrix, lists: Lists) -> NDArray[np.float64]:
    """Of whole lists. The squared length of the sum of unit vectors is the sum of all cosines, own ones included."""
    chosen = _indicator(lists, vectors.shape[0])
    together = chosen @ vectors
    together.data **= 2
    own = chosen @ (np.diff(vectors.indptr) > 0).astype(np.float64)
    cosines = np.asarray(together.sum(axis=1)).ravel() - own
    lengths = np.diff(chosen.indptr)
    pairs = lengths * (lengths - 1.0)
    return np.asarray(1 - np.divide(cosines, pairs, out=np.full(len(lists), np.nan), where=pairs > 0))


def _indicator(lists: Lists, tracks: int) -> sp.csr_matrix:
    """1 where a list has a track: CSR float32 (users, tracks)."""
    listed = lists >= 0
    ends = np.concatenate([[0], np.cumsum(listed.sum(axis=1))])
    return sp.csr_matrix((np.ones(ends[-1], np.float32), lists[listed], ends), shape=(len(lists), tracks))
