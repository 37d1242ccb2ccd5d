"""The tracks that somebody played, the longest factors first: what lets a search for the best end early."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
Moments = NDArray[np.float64]
BLOCK = 512  # rows with a bound of their own, where popularity counts beside the factors
_CHUNK = 1 << 16  # rows at once while moments are summed up


@dataclass(frozen=True)
class NormSortedItems:
    """k of a version's n tracks, by falling norm, then popularity, then by row.

    rows: int32 (k,), of the version · factors: float32 (k, f), a copy in this order · norms: float32 (k,) · listeners:
    float32 (k,), log(1 + popularity) · mean: float64 (f + 1,) and covariance: float64 (f + 1, f + 1), over the k, of
    (factors, listeners) as one vector.
    """

    rows: NDArray[np.int32]
    factors: Vector
    norms: Vector
    listeners: Vector
    mean: Moments
    covariance: Moments

    @classmethod
    def of(cls, factors: Vector, norms: Vector, popularity: Vector) -> NormSortedItems:
        """factors: float32 (n, f) · norms, popularity: float32 (n,)."""
        played = np.flatnonzero(popularity > 0)
        rows = played[np.lexsort((-popularity[played], -norms[played]))]
        wide, listeners = factors[rows], np.log1p(popularity[rows])
        return cls(rows.astype(np.int32), wide, norms[rows], listeners, *_moments(wide, listeners))

    def __len__(self) -> int:
        return len(self.rows)

    def scanned_share(self, vectors: Vector, k: int) -> float:
        """Return the mean share of the factors that an exact search for the k best looks at.

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
    def longest(self) -> float:
        """The greatest norm."""
        return float(self.norms[0]) if len(self) else 0.0

    @cached_property
    def with_factors(self) -> int:
        """How many, from the first, have factors at all."""
        return bisect_left(self.norms, 0.0, key=lambda norm: -norm)  # NumPy's needs a copy the other way round

    @cached_property
    def bounds(self) -> tuple[Moments, Moments, Moments]:
        """The greatest norm, and the least and greatest `listeners`, of each BLOCK rows: float64 (blocks,)."""
        if not len(self):
            return (np.zeros(0),) * 3
        starts = np.arange(0, len(self), BLOCK)
        least, greatest = (one.reduceat(self.listeners, starts) for one in (np.minimum, np.maximum))
        return self.norms[starts].astype(np.float64), least.astype(np.float64), greatest.astype(np.float64)


def _moments(factors: Vector, listeners: Vector) -> tuple[Moments, Moments]:
    k, width = len(factors), factors.shape[1] + 1
    mean, covariance = np.zeros(width), np.zeros((width, width))
    chunks = [slice(start, start + _CHUNK) for start in range(0, k, _CHUNK)]
    for chunk in chunks:
        mean += _together(factors, listeners, chunk).sum(axis=0) / k
    for chunk in chunks:  # about the mean: the square of it would cancel most of what is wanted
        centred = _together(factors, listeners, chunk) - mean
        covariance += centred.T @ centred / k
    return mean, covariance


def _together(factors: Vector, listeners: Vector, chunk: slice) -> Moments:
    return np.column_stack([factors[chunk], listeners[chunk]]).astype(np.float64)
