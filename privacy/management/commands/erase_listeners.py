import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from privacy.erasure import OperatorAccount, UnknownListener, finish_erasures, request_erasure

WAIT_SECONDS = 3600


class Command(BaseCommand):
    help = "Erase everybody who wished to be forgotten, and the listeners named here."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user_id", nargs="*", type=int, help="a listener to be erased too")

    def handle(self, *args: Any, user_id: list[int], **options: Any) -> None:
        for number in user_id:
            try:
                self.stdout.write(f"listener {number}: receipt {request_erasure(number).receipt}")
            except UnknownListener as error:
                raise CommandError(f"there is no listener {number}") from error
            except OperatorAccount as error:
                raise CommandError(f"{number} is an operator's account; a superuser deletes it in the admin") from error
        outcome = finish_erasures(wait=WAIT_SECONDS, begun=_looked)
        if outcome.busy:
            raise CommandError("another process has been erasing for an hour; see its log")
        if outcome.failed:
            raise CommandError(f"{outcome.erased} listeners erased; {outcome.failed} could not be, see the alarms")
        self.stdout.write(f"{outcome.erased} listeners erased")


def _looked() -> None:
    """Let go of standard input, which is the lock `start_erasing` gave: who wishes it from now on needs another run."""
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
