"""Chance that does not depend on what else there is: the same ids and seed give the same number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hash_to_unit_interval(ids: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Pseudo-random numbers in 0..1 of ids: splitmix64 (Steele, Lea & Flood 2014) of id and seed."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) + np.uint64(seed % 2**64) * _GOLDEN
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return np.asarray(x / np.uint64(0xFFFFFFFFFFFFFFFF))


def hash_pairs_to_unit_interval(first: NDArray[np.int64], second: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """The same for pairs of ids."""
    mixed = (hash_to_unit_interval(first, seed) * 2**62).astype(np.int64)
    return hash_to_unit_interval(mixed ^ second, seed + 1)
