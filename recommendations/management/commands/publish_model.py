from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import DatabaseCommand
from recommendations.services import CannotPublish, publish_version, roll_back


class Command(DatabaseCommand):
    help = "Put a version into service: a named one, or with --previous the one before."

    def add_arguments(self, parser: CommandParser) -> None:
        group = parser.add_mutually_exclusive_group(required=True)
        group.add_argument("version", nargs="?", help="a version of the model folder, held back or served before")
        group.add_argument("--previous", action="store_true", help="roll back to the previous version")

    def handle(self, *args: Any, version: str | None, previous: bool, **options: Any) -> None:
        try:
            if previous:
                version = roll_back()
            else:
                publish_version(str(version))
        except CannotPublish as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"version {version} is in service")
