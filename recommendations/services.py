"""Start training and tuning in the background."""

from typing import Any

from common.background import CannotStart, start
from recommendations.tasks import train_model, tune_model


def start_training(trigger: str) -> None:
    """Start a training run. Raises CannotStart."""
    _start(train_model, "train_model", trigger)


def start_tuning(trigger: str) -> None:
    """Start a tuning study. Raises CannotStart."""
    _start(tune_model, "tune_model", trigger)


def _start(task: Any, command: str, trigger: str) -> None:
    start(task, trigger, command=[command, "--trigger", trigger], log="training.log")


__all__ = ["CannotStart", "start_training", "start_tuning"]
