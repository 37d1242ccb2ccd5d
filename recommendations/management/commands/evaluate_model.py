import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from tqdm.contrib.logging import logging_redirect_tqdm

from common.commands import DatabaseCommand
from engine.data.split import SPLITTERS
from engine.ensemble import EnsembleConfig
from engine.evaluation.questions import QUESTIONS
from recommendations.management.progress_bars import ProgressBars
from recommendations.training.evaluate import CannotEvaluate, evaluate_ensemble, load_ensemble

NAME, INTERVAL, COLUMN = 18, 17, 14  # widths of the columns of the table


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
        parser.add_argument(
            "--question", choices=QUESTIONS, help="the one that most listeners are asked; by default MUSICREC_QUESTION"
        )
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
                    question=options["question"] or settings.MUSICREC["QUESTION"],
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
    """Yield a table: a row for each metric, and for each question a column of means per model.

    The first column has the 95 % interval of the first model, for the question that decides.
    """
    yield f"{report['split']} split, {report['holdout']:.0%} held out; decisive question: {report['question']}"
    answers = {name: answer for name, answer in report["questions"].items() if answer["models"]}
    if not answers:
        yield "no listeners to evaluate on"
        return
    columns = [(answer["models"][model], model) for answer in answers.values() for model in answer["models"]]
    no_model: dict[str, Any] = {"metrics": {}, "segments": {}}
    deciding = answers[report["question"]]["models"]["model"] if report["question"] in answers else no_model
    headings = [f"{name} ({answer['listeners']:,} listeners)" for name, answer in answers.items()]
    widths = [COLUMN * len(answer["models"]) for answer in answers.values()]
    yield " " * (NAME + INTERVAL) + "".join(f"{h:>{width}}" for h, width in zip(headings, widths, strict=True))
    yield " " * (NAME + INTERVAL) + "".join(f"{model:>{COLUMN}}" for _, model in columns)
    first = next(iter(answers.values()))["models"]["model"]
    for metric in first["metrics"]:
        values = [model["metrics"].get(metric) for model, _ in columns]
        yield _format_row(metric, deciding["metrics"].get(metric), values)
    for name, segment in first["segments"].items():
        for metric in segment["metrics"]:
            if metric.startswith("ndcg@"):
                values = [_segment_metrics(model, name).get(metric) for model, _ in columns]
                yield _format_row(f"{metric} {name}", _segment_metrics(deciding, name).get(metric), values)


def _segment_metrics(model: dict[str, Any], name: str) -> dict[str, Any]:
    metrics: dict[str, Any] = model["segments"].get(name, {}).get("metrics", {})
    return metrics


def _format_row(name: str, interval: dict[str, float] | None, values: list[dict[str, float] | None]) -> str:
    bounds = f"{interval['low']:.4f} … {interval['high']:.4f}" if interval else ""
    means = [f"{value['mean']:.4f}" if value else "—" for value in values]
    return f"{name:{NAME}}{bounds:{INTERVAL}}" + "".join(f"{mean:>{COLUMN}}" for mean in means)
