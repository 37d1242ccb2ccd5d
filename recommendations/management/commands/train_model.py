from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm.contrib.logging import logging_redirect_tqdm

from recommendations.management.progress import ProgressBars
from recommendations.training.run import run_training


class Command(BaseCommand):
    help = "Train a new version and publish it, as the nightly run does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="even where there are no new plays")
        parser.add_argument("--trigger", default="command", help="what the run's row says started it")

    def handle(self, *args: Any, force: bool, trigger: str, **options: Any) -> None:
        with ProgressBars() as bars, logging_redirect_tqdm():
            outcome = run_training(trigger, force=force, progress=bars.show)
        if outcome.status == "Failed":
            raise CommandError(str(outcome))
        self.stdout.write(str(outcome))
        if outcome.run and outcome.run.seconds:
            spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in outcome.run.seconds.items())
            self.stdout.write(f"{spent}; peak memory {(outcome.run.peak_memory_bytes or 0) / 1e6:,.0f} MB")
