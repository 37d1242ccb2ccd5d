"""Start work in the background: by Celery, or in a process of its own where there is no broker."""

import fcntl
from typing import Any

from django.conf import settings

from interactions.background import CannotStart, child, start
from recommendations.conf import store
from recommendations.tasks import erase_listeners, train_model, tune_model


def start_training(trigger: str) -> None:
    """Raises CannotStart."""
    _start(train_model, "train_model", trigger)


def start_tuning(trigger: str) -> None:
    """Raises CannotStart."""
    _start(tune_model, "tune_model", trigger)


def start_erasing() -> None:
    """Raises CannotStart. Of children, one erases and one waits at most: whoever waits has not looked yet."""
    if settings.CELERY_BROKER_URL:
        start(erase_listeners, command=["erase_listeners"], log="erasing.log")
        return
    store().root.mkdir(parents=True, exist_ok=True)
    with open(store().root / "erasing.waiting", "w") as waiting:
        try:
            fcntl.flock(waiting, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        child(["erase_listeners"], "erasing.log", stdin=waiting)  # holds the lock from birth, until it looks


def _start(task: Any, command: str, trigger: str) -> None:
    start(task, trigger, command=[command, "--trigger", trigger], log="training.log")


__all__ = ["CannotStart", "start_erasing", "start_training", "start_tuning"]
