"""Hyperparameters out of range are told by name, before anything is computed."""

from __future__ import annotations

from typing import Any


def require_positive(trainer: Any, *names: str) -> None:
    """Raises ValueError, naming the field."""
    for name in names:
        if not getattr(trainer, name) > 0:
            raise ValueError(f"{trainer.family}: {name} must be above 0, not {getattr(trainer, name)}")


def require_non_negative(trainer: Any, *names: str) -> None:
    """Raises ValueError, naming the field."""
    for name in names:
        if not getattr(trainer, name) >= 0:
            raise ValueError(f"{trainer.family}: {name} must not be below 0, not {getattr(trainer, name)}")


def require_between(trainer: Any, low: float, high: float, *names: str) -> None:
    """Raises ValueError, naming the field."""
    for name in names:
        if not low <= getattr(trainer, name) <= high:
            raise ValueError(f"{trainer.family}: {name} must be from {low} to {high}, not {getattr(trainer, name)}")


def require_choice(trainer: Any, name: str, *words: str) -> None:
    """Raises ValueError, naming the field."""
    if getattr(trainer, name) not in words:
        raise ValueError(f"{trainer.family}: {name} must be one of {', '.join(words)}, not {getattr(trainer, name)!r}")
