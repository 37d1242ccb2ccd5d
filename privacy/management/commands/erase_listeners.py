import os
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import DatabaseCommand
from privacy.erasure import OperatorAccount, UnknownListener, finish_erasures, request_erasure

WAIT_SECONDS = 3600


class Command(DatabaseCommand):
    help = "Erase all listeners with a pending erasure, and the listeners named here."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", nargs="*", type=int, help="another listener to erase")

    def handle(self, *args: Any, user_id: list[int], **options: Any) -> None:
        for listener_id in user_id:
            try:
                self.stdout.write(f"listener {listener_id}: receipt {request_erasure(listener_id).receipt}")
            except UnknownListener as error:
                raise CommandError(f"there is no listener {listener_id}") from error
            except OperatorAccount as error:
                raise CommandError(
                    f"{listener_id} is an operator's account; a superuser can delete it in the admin"
                ) from error
        result = finish_erasures(wait=WAIT_SECONDS, on_start=_release_lock)
        if result.busy:
            raise CommandError("another process has been erasing for an hour; see its log")
        if result.failed:
            raise CommandError(
                f"{result.erased} listeners erased; {result.failed} could not be; see the alarms in the admin"
            )
        self.stdout.write(f"{result.erased} listeners erased")


def _release_lock() -> None:
    """Close standard input, which is the lock of `start_erasure_run`: later requests need another run."""
    with open(os.devnull) as null:
        os.dup2(null.fileno(), 0)
