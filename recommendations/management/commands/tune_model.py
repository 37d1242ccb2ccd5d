from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm.contrib.logging import logging_redirect_tqdm

from recommendations.management.progress import ProgressBars
from recommendations.training.tuning import run_tuning


class Command(BaseCommand):
    help = "Search for a better recipe, train it, and use it every night if the gate lets it pass."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, help="the time it may take, by default MUSICREC_TUNING_SECONDS")
        parser.add_argument("--dry-run", action="store_true", help="keep what was found, and train nothing")
        parser.add_argument("--trigger", default="command", help="what the study's row says started it")

    def handle(self, *args: Any, seconds: float | None, dry_run: bool, trigger: str, **options: Any) -> None:
        if seconds is not None and seconds < 1:
            raise CommandError("--seconds: 1 or more")
        with ProgressBars() as bars, logging_redirect_tqdm():
            outcome = run_tuning(trigger, seconds=seconds, train_it=not dry_run, progress=bars.show)
        if outcome.status == "Failed":
            raise CommandError(str(outcome))
        self.stdout.write(str(outcome))
        if outcome.study:
            for family, score in sorted(outcome.study.best_of.items(), key=lambda one: -one[1]):
                self.stdout.write(f"{family:20} {score:.4f}")
