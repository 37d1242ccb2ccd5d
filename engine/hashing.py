"""Pseudo-random numbers from ids: the number of an id does not depend on the other ids."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio, the increment of splitmix64


def hash_to_unit_interval(ids: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return a pseudo-random number between 0 and 1 for each id: splitmix64 of id and seed.

    Steele, Lea & Flood, "Fast splittable pseudorandom number generators" (2014).

    Args:
        ids: int64, any shape.

    Returns:
        float64, shaped like `ids`.
    """
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) + np.uint64(seed % 2**64) * _GOLDEN_RATIO
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return np.asarray(x / np.uint64(0xFFFFFFFFFFFFFFFF))


def hash_pairs_to_unit_interval(first: NDArray[np.int64], second: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return a pseudo-random number between 0 and 1 for each pair of ids, float64 (n,)."""
    mixed = (hash_to_unit_interval(first, seed) * 2**62).astype(np.int64)
    return hash_to_unit_interval(mixed ^ second, seed + 1)
