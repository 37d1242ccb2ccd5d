from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from common.commands import DatabaseCommand
from recommendations.policies.documents import read_policy_file
from recommendations.policies.services import CannotSavePolicy, save_policy
from recommendations.services import put_policy_into_use


class Command(DatabaseCommand):
    help = "Save a policy from a JSON file as the next version of its name."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="what export_policy printed, or the admin exported")
        parser.add_argument("--note", default="", help="why, for the history; at most 512 characters")
        parser.add_argument("--use", action="store_true", help="put it into use as well")

    def handle(self, *args: Any, file: Path, note: str, use: bool, **options: Any) -> None:
        try:
            row = save_policy(read_policy_file(file), note=note)
        except (OSError, ValueError, TypeError, CannotSavePolicy) as error:
            raise CommandError(f"{file}: {error}") from error
        if use:
            put_policy_into_use(row.name, row.version)
        self.stdout.write(f"policy {row} is saved and {'in use' if use else 'not in use yet'}")
