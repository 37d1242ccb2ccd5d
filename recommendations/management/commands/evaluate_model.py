import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from tqdm.contrib.logging import logging_redirect_tqdm

from common.commands import DatabaseCommand
from engine.data.split import SPLITTERS
from engine.ensemble import EnsembleConfig
from recommendations.management.progress_bars import ProgressBars
from recommendations.training.evaluate import CannotEvaluate, evaluate_ensemble, load_ensemble


class Command(DatabaseCommand):
    help = (
        "Evaluate an ensemble on held-out plays, next to most popular and the ensemble in service. Publishes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        group = parser.add_mutually_exclusive_group()
        group.add_argument("version", nargs="?", help="evaluate its ensemble; by default the version in service")
        group.add_argument("--recipe", type=Path, help="a JSON file with an ensemble, instead of a version")
        parser.add_argument("--split", choices=list(SPLITTERS), default="time", help="how plays are held out")
        parser.add_argument("--holdout", type=float, default=0.2, help="the share of plays held out")
        parser.add_argument("--k", type=int, action="append", help="a cut-off; repeatable, by default 5, 10 and 20")
        parser.add_argument("--listeners", type=int, default=10_000, help="evaluate a sample of this size; 0 for all")
        parser.add_argument("--json", type=Path, help="a file for the complete report")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["holdout"] < 1:
            raise CommandError(f"--holdout must be between 0 and 1, not {options['holdout']}")
        if min(options["k"] or [1]) < 1:
            raise CommandError(f"--k must be 1 or more, not {min(options['k'])}")
        if options["listeners"] < 0:
            raise CommandError(f"--listeners must be 0 or more, not {options['listeners']}")
        try:
            with ProgressBars() as bars, logging_redirect_tqdm():
                report = evaluate_ensemble(
                    _ensemble(options),
                    split=options["split"],
                    holdout=options["holdout"],
                    ks=options["k"] or (5, 10, 20),
                    max_listeners=options["listeners"] or None,
                    progress=bars.show,
                )
        except CannotEvaluate as error:
            raise CommandError(str(error)) from error
        for line in _format_report(report):
            self.stdout.write(line)
        if options["json"]:
            try:
                options["json"].write_text(json.dumps(report, indent=2) + "\n")
            except OSError as error:
                raise CommandError(f"--json: {error}") from error


def _ensemble(options: dict[str, Any]) -> EnsembleConfig:
    if options["recipe"] is None:
        return load_ensemble(options["version"])
    try:
        return EnsembleConfig.from_dict(json.loads(options["recipe"].read_text()))
    except (OSError, ValueError) as error:
        raise CommandError(f"--recipe: {error}") from error


def _format_report(report: dict[str, Any]) -> Iterator[str]:
    """Yield a table: a row for each metric, the 95 % interval of the first model, and a column of means per model."""
    models = report["models"]
    yield f"{report['listeners']:,} listeners, {report['split']} split, {report['holdout']:.0%} held out"
    if not models:
        yield "no listeners to evaluate on"
        return
    yield f"{'':24}{'':20}" + "".join(f"{name:>14}" for name in models)
    for metric, value in models["model"]["metrics"].items():
        yield _format_row(metric, value, [_mean(model["metrics"].get(metric)) for model in models.values()])
    for name, segment in models["model"]["segments"].items():
        for metric, value in segment["metrics"].items():
            if metric.startswith("ndcg@"):
                means = [_mean(m["segments"].get(name, {}).get("metrics", {}).get(metric)) for m in models.values()]
                yield _format_row(f"{metric} {name} ({segment['listeners']:,})", value, means)


def _format_row(name: str, value: dict[str, float], means: list[float | None]) -> str:
    interval = f"{value['low']:.4f} … {value['high']:.4f}"
    return f"{name:24}{interval:20}" + "".join(f"{'—' if m is None else f'{m:.4f}':>14}" for m in means)


def _mean(value: dict[str, float] | None) -> float | None:
    return value["mean"] if value else None
