"""Validate hyperparameters by name, so that a wrong configuration fails before anything is computed.

Each function raises ValueError with the family and the field. The comparisons are written so that NaN fails too.
"""

from __future__ import annotations

from engine.models.base import Trainer

MAX_VALUE = 1e6
"""Upper limit of hyperparameters without one of their own; beyond it, float32 overflows or loses all other terms."""

MAX_EXPONENT = 4.0
"""Upper limit of exponents: the number of listeners to this power is still a finite float32."""


def require_positive(trainer: Trainer, *names: str, at_most: float = MAX_VALUE) -> None:
    """Require the fields to be above 0, and not above a limit."""
    for name in names:
        if not (value := getattr(trainer, name)) > 0:
            raise ValueError(f"{trainer.family}: {name} must be above 0, not {value}")
        _require_at_most(trainer, name, at_most)


def require_non_negative(trainer: Trainer, *names: str, at_most: float = MAX_VALUE) -> None:
    """Require the fields to be 0 or above, and not above a limit."""
    for name in names:
        if not (value := getattr(trainer, name)) >= 0:
            raise ValueError(f"{trainer.family}: {name} must be 0 or above, not {value}")
        _require_at_most(trainer, name, at_most)


def require_between(trainer: Trainer, low: float, high: float, *names: str) -> None:
    """Require the fields to be from `low` to `high`, both included."""
    for name in names:
        if not low <= (value := getattr(trainer, name)) <= high:
            raise ValueError(f"{trainer.family}: {name} must be from {low} to {high}, not {value}")


def require_choice(trainer: Trainer, name: str, *choices: str) -> None:
    """Require the field to be one of `choices`."""
    if (value := getattr(trainer, name)) not in choices:
        raise ValueError(f"{trainer.family}: {name} must be one of {', '.join(choices)}, not {value!r}")


def _require_at_most(trainer: Trainer, name: str, limit: float) -> None:
    if (value := getattr(trainer, name)) > limit:
        raise ValueError(f"{trainer.family}: {name} must be at most {limit:g}, not {value}")
