from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser

from access.management.commands.create_service_key import parse_days
from access.services import rotate_service_key
from common.commands import DatabaseCommand

MAX_HOURS = 24 * 90


class Command(DatabaseCommand):
    help = "Replace a service key; the old one stays valid for a while. The new one is shown once, as the last line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name of the key")
        parser.add_argument("--grace", type=float, default=24.0, metavar="HOURS", help="how long the old key works")
        parser.add_argument("--days", type=parse_days, help="until the new key expires; by default like the old one")

    def handle(self, *args: Any, name: str, grace: float, days: int | None, **options: Any) -> None:
        if not 0 <= grace <= MAX_HOURS:
            raise CommandError(f"--grace must be 0 to {MAX_HOURS} hours, not {grace}")
        try:
            key = rotate_service_key(name, timedelta(hours=grace), days)
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stderr.write(
            f"The old key works for {grace:g} more hours. The new one is not stored and cannot be shown again:"
        )
        self.stdout.write(key)
