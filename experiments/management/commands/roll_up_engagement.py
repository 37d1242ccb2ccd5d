from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from common.commands import DatabaseCommand
from experiments.engagement.roll_up import DAYS, roll_up


class Command(DatabaseCommand):
    help = "Count the engagement of the last days, and delete expired slates and events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, default=DAYS, help=f"number of days, today included; by default {DAYS}")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["days"] <= 4000:
            raise CommandError("--days must be between 1 and 4000")
        self.stdout.write(roll_up(options["days"]).detail)
