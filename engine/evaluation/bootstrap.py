"""Percentile bootstrap intervals: how much a metric varies with the sample of users (Efron & Tibshirani 1993)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ResampleCounts = NDArray[np.uint8]
RESAMPLES = 500
CONFIDENCE_LEVEL = 0.95
_USERS_PER_BLOCK = 4096
_RESAMPLES_PER_BLOCK = 10


class Interval(NamedTuple):
    """A mean or another statistic, and the bounds between which CONFIDENCE_LEVEL of its resamples lie."""

    mean: float
    low: float
    high: float


def draw_resamples(users: int, seed: int, resamples: int = RESAMPLES) -> ResampleCounts:
    """Draw bootstrap resamples of the users, as counts of how often each user is in each resample.

    All metrics of a report use the same resamples, so that differences between models are paired.

    Returns:
        uint8 (resamples, users), each row summing to `users`.
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((resamples, users), np.uint8)
    for row in counts:
        row[:] = np.bincount(rng.integers(users, size=users), minlength=users)
    return counts


def mean_intervals(values: Mapping[str, NDArray[np.float64]], counts: ResampleCounts) -> dict[str, Interval]:
    """Return the mean over users of each metric, with its interval.

    Args:
        values: metrics by name, float64 (users,) each; a NaN does not count.
        counts: uint8 (resamples, users), see `draw_resamples`.

    Returns:
        Intervals by name, without the metrics that are NaN for all users.
    """
    defined = {name: column for name, column in values.items() if not np.isnan(column).all()}
    if not defined:
        return {}
    table = np.stack(list(defined.values()), axis=1)
    means = np.nanmean(table, axis=0)
    low, high = _bounds(_resampled_means(table, counts))
    return {name: Interval(*map(float, bounds)) for name, *bounds in zip(defined, means, low, high, strict=True)}


def statistic_intervals(
    statistic: Callable[[ResampleCounts], NDArray[np.float64]], counts: ResampleCounts
) -> list[Interval]:
    """Return statistics of all users together, such as the share of the items that their lists cover.

    A resample repeats some users in place of others, and therefore covers less than all users do. So the spread of the
    resamples is centred on the statistic of all users rather than on the mean of the resamples.

    Args:
        statistic: returns m statistics of r weightings of the users: uint8 (r, users) -> float64 (r, m).
        counts: uint8 (resamples, users), see `draw_resamples`.

    Returns:
        m intervals.
    """
    values = statistic(np.ones((1, counts.shape[1]), np.uint8))[0]
    blocks = range(0, len(counts), _RESAMPLES_PER_BLOCK)
    resampled = np.concatenate([statistic(counts[start : start + _RESAMPLES_PER_BLOCK]) for start in blocks])
    low, high = _bounds(resampled - resampled.mean(axis=0) + values)
    return [Interval(*map(float, bounds)) for bounds in zip(values, low, high, strict=True)]


def _resampled_means(table: NDArray[np.float64], counts: ResampleCounts) -> NDArray[np.float64]:
    """Return float64 (resamples, columns); NaN where no user with a value was drawn."""
    present = ~np.isnan(table)
    if present.all():
        sums = _weighted_sums(table, counts)
        sizes = counts.sum(axis=1, dtype=np.float64)[:, None]
    else:
        sums = _weighted_sums(np.where(present, table, 0), counts)
        sizes = _weighted_sums(present, counts)
    return np.asarray(np.divide(sums, sizes, out=np.full(sums.shape, np.nan), where=sizes > 0))


def _weighted_sums(table: NDArray[np.generic], counts: ResampleCounts) -> NDArray[np.float64]:
    """Return counts @ table, float64 (resamples, columns), in blocks of users that fit the processor's cache."""
    sums = np.zeros((len(counts), table.shape[1]))
    for start in range(0, len(table), _USERS_PER_BLOCK):
        block = slice(start, start + _USERS_PER_BLOCK)
        sums += counts[:, block].astype(np.float64) @ table[block].astype(np.float64)
    return sums


def _bounds(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the lower and upper quantiles: float64 (2, columns)."""
    tail = (1 - CONFIDENCE_LEVEL) / 2
    # nanquantile takes six times as long, because it goes through the columns one by one.
    quantile = np.nanquantile if np.isnan(resampled).any() else np.quantile
    return np.asarray(quantile(resampled, (tail, 1 - tail), axis=0))
