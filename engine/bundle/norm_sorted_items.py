"""The tracks that somebody played, sorted by the norm of their factors, so that an exact search can end early."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Moments = NDArray[np.float64]
BLOCK = 512  # rows that share one bound, where popularity counts beside the factors
_CHUNK = 1 << 16  # rows converted to float64 at once while moments are added up


@dataclass(frozen=True)
class NormSortedItems:
    """k of a version's n tracks, by falling norm, then falling popularity, then row.

    Attributes:
        rows: rows of the version, int32 (k,).
        factors: a copy of their factors in this order, float32 (k, f).
        norms: float32 (k,).
        log_popularity: log(1 + popularity), float32 (k,).
        mean: of (factors, log_popularity) as one vector, over the k tracks, float64 (f + 1,).
        covariance: float64 (f + 1, f + 1).
    """

    rows: NDArray[np.int32]
    factors: Vector
    norms: Vector
    log_popularity: Vector
    mean: Moments
    covariance: Moments

    @classmethod
    def from_factors(cls, factors: Vector, norms: Vector, popularity: Vector) -> NormSortedItems:
        """Sort the played tracks.

        Args:
            factors: float32 (n, f).
            norms: of the factors, float32 (n,).
            popularity: float32 (n,).
        """
        played = np.flatnonzero(popularity > 0)
        rows = played[np.lexsort((-popularity[played], -norms[played]))]
        sorted_factors, log_popularity = factors[rows], np.log1p(popularity[rows])
        moments = _mean_and_covariance(sorted_factors, log_popularity)
        return cls(rows.astype(np.int32), sorted_factors, norms[rows], log_popularity, *moments)

    def __len__(self) -> int:
        return len(self.rows)

    def scanned_share(self, vectors: Vector, k: int) -> float:
        """Return the mean share of the tracks that an exact search for the k best looks at.

        Args:
            vectors: listeners' factors, float32 (b, f).
        """
        if not len(vectors) or len(self) <= k:
            return 1.0
        shares = []
        for vector in vectors:
            kth = np.partition(self.factors @ vector, len(self) - k)[len(self) - k]
            shares.append(float(np.mean(self.norms * np.linalg.norm(vector) >= kth)))
        return float(np.mean(shares))

    @cached_property
    def max_norm(self) -> float:
        return float(self.norms[0]) if len(self) else 0.0

    @cached_property
    def nonzero_count(self) -> int:
        """The number of tracks, from the first, whose factors are not zeros."""
        return bisect_left(self.norms, 0.0, key=lambda norm: -norm)  # np.searchsorted would need an ascending copy

    @cached_property
    def block_bounds(self) -> tuple[Moments, Moments, Moments]:
        """Highest norm, lowest and highest log_popularity of each BLOCK rows: float64 (blocks,) each."""
        if not len(self):
            return (np.zeros(0),) * 3
        starts = np.arange(0, len(self), BLOCK)
        lowest, highest = (ufunc.reduceat(self.log_popularity, starts) for ufunc in (np.minimum, np.maximum))
        return self.norms[starts].astype(np.float64), lowest.astype(np.float64), highest.astype(np.float64)


def _mean_and_covariance(factors: Vector, log_popularity: Vector) -> tuple[Moments, Moments]:
    k, width = len(factors), factors.shape[1] + 1

    def chunks_in_float64() -> Iterator[Moments]:
        for start in range(0, k, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            yield np.column_stack([factors[chunk], log_popularity[chunk]]).astype(np.float64)

    mean, covariance = np.zeros(width), np.zeros((width, width))
    for chunk in chunks_in_float64():
        mean += chunk.sum(axis=0) / k
    for chunk in chunks_in_float64():  # about the mean, whose square would cancel most of the digits
        centred = chunk - mean
        covariance += centred.T @ centred / k
    return mean, covariance
