from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from recommendations.training import run_training


class Command(BaseCommand):
    help = "Train a new version and publish it, as the nightly run does."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="even where there are no new plays")
        parser.add_argument("--trigger", default="command", help="what the run's row says started it")

    def handle(self, *args: Any, force: bool, trigger: str, **options: Any) -> None:
        with _Bars() as bars, logging_redirect_tqdm():
            outcome = run_training(trigger, force=force, progress=bars.show)
        if outcome.status == "Failed":
            raise CommandError(str(outcome))
        self.stdout.write(str(outcome))
        if outcome.run and outcome.run.seconds:
            spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in outcome.run.seconds.items())
            self.stdout.write(f"{spent}; peak memory {(outcome.run.peak_memory_bytes or 0) / 1e6:,.0f} MB")


class _Bars:
    """A progress bar a stage."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.stage = ""

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def show(self, stage: str, done: int, total: int) -> None:
        if stage != self.stage:
            self.__exit__()
            self.bar, self.stage = tqdm(total=total, desc=stage, unit="", unit_scale=True), stage
        self.bar.update(done - self.bar.n)
