from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser

from access.models import Scope
from access.services import create_service_key
from common.commands import DatabaseCommand

MAX_DAYS = 3650


def parse_days(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MAX_DAYS:
        raise ArgumentTypeError(f"must be 1 to {MAX_DAYS}, not {text!r}")
    return int(text)


class Command(DatabaseCommand):
    help = "Create a service key for a back end. The key is shown once, as the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the back end that will use it")
        scopes = "; ".join(f"{value}: {label}" for value, label in Scope.choices)
        parser.add_argument("--scope", action="append", default=[], metavar="SCOPE", help=f"repeatable. {scopes}")
        parser.add_argument("--days", type=parse_days, help="until it expires; by default never")

    def handle(self, *args: Any, name: str, scope: list[str], days: int | None, **options: Any) -> None:
        try:
            key = create_service_key(name, scope, days)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stderr.write("Send it as `Authorization: Api-Key KEY`. It is not stored and cannot be shown again:")
        self.stdout.write(key)
