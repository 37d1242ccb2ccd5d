"""Start work outside of the request: as a Celery task, or as a child process if no broker is configured."""

import subprocess
import sys
from typing import IO, Any

from django.conf import settings
from kombu.exceptions import OperationalError


class BrokerUnavailable(Exception):
    """The task was not started because the broker did not answer."""


def start_background_task(task: Any, *arguments: Any, command: list[str], log: str) -> None:
    """Queue the task, or run the equivalent management command in a child process if no broker is configured.

    Args:
        task: the Celery task.
        arguments: the task's arguments.
        command: name and arguments of the management command that does the same.
        log: name of the file in `VAR_DIR` that receives the output of the child process.

    Raises:
        BrokerUnavailable: if a broker is configured and does not answer.
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
    """Run a management command in a child process, which continues if the process that started it ends."""
    with open(settings.VAR_DIR / log, "ab") as output:
        subprocess.Popen(
            [sys.executable, "manage.py", *command],
            cwd=settings.BASE_DIR,
            stdin=stdin,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
