"""The declarations by which model families state, as plain data, which hyperparameters a search may vary.

A serving process imports every family, so nothing here may import Optuna; `engine.tuning.space` turns these
declarations into Optuna's distributions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NumberRange:
    """A number from `low` to `high`, both included; whole numbers where both bounds are.

    Attributes:
        log: sample on a logarithmic scale, so that each power of ten is equally likely.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of several values. Neighbouring values should be similar: a local search moves one step along the list."""

    values: tuple[Any, ...]


Dimension = NumberRange | Choice
SearchSpace = Mapping[str, Dimension]
"""Dimensions by the name of the hyperparameter; `damping` and `recency` stand for those of the component."""

POPULARITY_DAMPING = NumberRange(-0.1, 0.4)
"""The usual range of `ComponentConfig.damping`; below zero, popular tracks are preferred."""
VOTE_RECENCY = NumberRange(0.0, 2.5)
"""The usual range of `ComponentConfig.recency`, for families with neighbours."""
