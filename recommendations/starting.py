"""Start training or tuning in the background: by Celery, or in a process of its own where there is no broker."""

import subprocess
import sys
from typing import Any

from django.conf import settings
from kombu.exceptions import OperationalError

from recommendations.tasks import train_model, tune_model


class CannotStart(Exception):
    """The broker does not answer."""


def start_training(trigger: str) -> None:
    """Raises CannotStart."""
    _start(train_model, "train_model", trigger)


def start_tuning(trigger: str) -> None:
    """Raises CannotStart."""
    _start(tune_model, "tune_model", trigger)


def _start(task: Any, command: str, trigger: str) -> None:
    if settings.CELERY_BROKER_URL:
        try:
            task.delay(trigger)
        except OperationalError as error:
            raise CannotStart(f"the broker does not answer ({error}); try again, or run manage.py {command}") from error
        return
    log = settings.VAR_DIR / "training.log"
    with open(log, "ab") as out:
        subprocess.Popen(
            [sys.executable, "manage.py", command, "--trigger", trigger],
            cwd=settings.BASE_DIR,
            stdout=out,
            stderr=out,
            start_new_session=True,  # goes on when the web process that started it ends
        )
