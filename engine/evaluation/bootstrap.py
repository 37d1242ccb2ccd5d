"""How far a number would move with other listeners: percentile bootstrap intervals (Efron & Tibshirani 1993)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ResampleCounts = NDArray[np.uint8]
RESAMPLES = 500
LEVEL = 0.95
_LISTENERS_AT_ONCE = 4096


class Interval(NamedTuple):
    """A mean, or another statistic, and the bounds that hold LEVEL of its resamples."""

    mean: float
    low: float
    high: float


def draw_resamples(listeners: int, seed: int, resamples: int = RESAMPLES) -> ResampleCounts:
    """How often each listener is in each resample, uint8 (resamples, listeners), rows summing to `listeners`.

    Drawn once and used for every number, so that differences between models are paired.
    """
    rng = np.random.default_rng(seed)
    draws = np.empty((resamples, listeners), np.uint8)
    for row in draws:
        row[:] = np.bincount(rng.integers(listeners, size=listeners), minlength=listeners)
    return draws


def mean_intervals(values: Mapping[str, NDArray[np.float64]], draws: ResampleCounts) -> dict[str, Interval]:
    """Means over listeners. A NaN does not count; what has no number at all is left out of the answer.

    values: float64 (listeners,) each · draws: uint8 (resamples, listeners).
    """
    known = {name: column for name, column in values.items() if not np.isnan(column).all()}
    if not known:
        return {}
    table = np.stack(list(known.values()), axis=1)
    means = np.nanmean(table, axis=0)
    low, high = _bounds(_resampled_means(table, draws))
    return {name: Interval(*map(float, of)) for name, *of in zip(known, means, low, high, strict=True)}


def statistic_intervals(
    statistic: Callable[[ResampleCounts], NDArray[np.float64]], draws: ResampleCounts
) -> list[Interval]:
    """Statistics of all listeners together, such as the tracks that their lists cover.

    A resample repeats some listeners for others, and so, say, covers less than the listeners themselves: the spread
    of the resamples is laid around the value, not around their own mean.

    statistic: the values, float64 (r, m), of lists that count r times as `draws` uint8 (r, listeners) says.
    """
    values = statistic(np.ones((1, draws.shape[1]), np.uint8))[0]
    resampled = np.concatenate([statistic(draws[start : start + 10]) for start in range(0, len(draws), 10)])
    low, high = _bounds(resampled - resampled.mean(axis=0) + values)
    return [Interval(*map(float, of)) for of in zip(values, low, high, strict=True)]


def _resampled_means(table: NDArray[np.float64], draws: ResampleCounts) -> NDArray[np.float64]:
    """Means of each column in each resample: float64 (resamples, columns), NaN where nobody with a number was drawn."""
    present = ~np.isnan(table)
    numbers = table if present.all() else np.where(present, table, 0)
    sums = _weighted(numbers, draws)
    counts = draws.sum(axis=1, dtype=np.float64)[:, None] if present.all() else _weighted(present, draws)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _weighted(table: NDArray[np.generic], draws: ResampleCounts) -> NDArray[np.float64]:
    """draws @ table, float64 (resamples, columns), by blocks of listeners that stay in the processor's cache."""
    sums = np.zeros((len(draws), table.shape[1]))
    for start in range(0, len(table), _LISTENERS_AT_ONCE):
        block = slice(start, start + _LISTENERS_AT_ONCE)
        sums += draws[:, block].astype(np.float64) @ table[block].astype(np.float64)
    return sums


def _bounds(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """low, high: float64 (2, columns)."""
    tail = (1 - LEVEL) / 2
    return np.asarray(np.nanquantile(resampled, (tail, 1 - tail), axis=0))
