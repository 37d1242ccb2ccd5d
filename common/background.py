"""Start work in the background: by Celery, or in a process of its own where there is no broker."""

import subprocess
import sys
from typing import IO, Any

from django.conf import settings
from kombu.exceptions import OperationalError


class BrokerUnavailable(Exception):
    """The broker does not answer."""


def start_background_task(task: Any, *arguments: Any, command: list[str], log: str) -> None:
    """command: that of `manage.py` which does the same · log: the file of the var folder for what a child says.

    Raises BrokerUnavailable.
    """
    if not settings.CELERY_BROKER_URL:
        start_child_process(command, log)
        return
    try:
        task.apply_async(arguments, retry=False)
    except OperationalError as error:
        raise BrokerUnavailable(
            f"the broker does not answer ({error}); try again, or run manage.py {command[0]}"
        ) from error


def start_child_process(command: list[str], log: str, stdin: IO[str] | None = None) -> None:
    with open(settings.VAR_DIR / log, "ab") as out:
        subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=settings.BASE_DIR,
            stdin=stdin,
            stdout=out,
            stderr=out,
            start_new_session=True,  # goes on when the web process that started it ends
        )
