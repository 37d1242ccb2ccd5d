from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm.contrib.logging import logging_redirect_tqdm

from common.commands import DatabaseCommand
from recommendations.management.progress_bars import ProgressBars
from recommendations.services import tune_model


class Command(DatabaseCommand):
    help = "Search for a better ensemble, train it, and use it every night if the gate lets it pass."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, help="time budget, by default MUSICREC_TUNING_SECONDS")
        parser.add_argument("--dry-run", action="store_true", help="record the best ensemble, but do not train it")
        parser.add_argument("--trigger", default="command", help="recorded as what started the study")

    def handle(self, *args: Any, seconds: float | None, dry_run: bool, trigger: str, **options: Any) -> None:
        if seconds is not None and seconds < 1:
            raise CommandError(f"--seconds must be 1 or more, not {seconds}")
        with ProgressBars() as bars, logging_redirect_tqdm():
            result = tune_model(trigger, seconds=seconds, train_best=not dry_run, progress=bars.show)
        if result.status == "Failed":
            raise CommandError(str(result))
        self.stdout.write(str(result))
        if result.study:
            for family, score in sorted(result.study.best_of.items(), key=lambda item: -item[1]):
                self.stdout.write(f"{family:20} {score:.4f}")
