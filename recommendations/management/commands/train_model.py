from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm.contrib.logging import logging_redirect_tqdm

from common.commands import DatabaseCommand
from recommendations.management.progress_bars import ProgressBars
from recommendations.services import train_model


class Command(DatabaseCommand):
    help = "Train a new version and publish it, as the nightly run does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="train even if there are no new plays")
        parser.add_argument("--trigger", default="command", help="recorded as what started the run")
        parser.add_argument("--waiting-run", type=int, help="the id of the row that a request has created for the run")

    def handle(self, *args: Any, force: bool, trigger: str, waiting_run: int | None, **options: Any) -> None:
        with ProgressBars() as bars, logging_redirect_tqdm():
            result = train_model(trigger, force=force, waiting_run=waiting_run, progress=bars.show)
        if result.status == "Failed":
            raise CommandError(str(result))
        self.stdout.write(str(result))
        if result.run and result.run.seconds:
            stages = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in result.run.seconds.items())
            self.stdout.write(f"{stages}; peak memory {(result.run.peak_memory_bytes or 0) / 1e6:,.0f} MB")
