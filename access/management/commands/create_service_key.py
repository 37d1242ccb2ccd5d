from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from access.models import Scope
from access.services import create_service_key


class Command(BaseCommand):
    help = "Create a service key for a back end. The key is shown once, as the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="who will use it")
        scopes = "; ".join(f"{value}: {label}" for value, label in Scope.choices)
        parser.add_argument("--scope", action="append", default=[], metavar="SCOPE", help=f"repeatable. {scopes}")

    def handle(self, *args: Any, name: str, scope: list[str], **options: Any) -> None:
        try:
            key = create_service_key(name, scope)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stderr.write("Send it as `Authorization: Api-Key KEY`. It is not kept and cannot be shown again:")
        self.stdout.write(key)
