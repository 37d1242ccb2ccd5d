"""Start training and tuning in the background."""

from typing import Any

from common.background import BrokerUnavailable, start_background_task
from recommendations.tasks import train_model, tune_model


def start_training(trigger: str) -> None:
    """Start a training run. Raises BrokerUnavailable."""
    _start(train_model, "train_model", trigger)


def start_tuning(trigger: str) -> None:
    """Start a tuning study. Raises BrokerUnavailable."""
    _start(tune_model, "tune_model", trigger)


def _start(task: Any, command: str, trigger: str) -> None:
    start_background_task(task, trigger, command=[command, "--trigger", trigger], log="training.log")


__all__ = ["BrokerUnavailable", "start_training", "start_tuning"]
