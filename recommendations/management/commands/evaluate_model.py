import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from tqdm.contrib.logging import logging_redirect_tqdm

from common.commands import DatabaseCommand
from engine.data.split import SPLITTERS
from engine.ensemble import EnsembleConfig
from engine.evaluation.questions import QUESTIONS
from engine.policy import Policy
from recommendations.admin.formatting import format_listeners
from recommendations.management.progress_bars import ProgressBars
from recommendations.policies.documents import read_policy_file
from recommendations.policies.in_use import load_policies_in_use
from recommendations.policies.selectors import UnknownPolicy, find_policy_by_label
from recommendations.training.evaluate import CannotEvaluate, evaluate_ensemble, load_ensemble

NAME, COLUMN, INTERVAL, WIDE = 18, 14, 18, 44  # widths of the columns of the table


class Command(DatabaseCommand):
    help = (
        "Evaluate an ensemble on held-out plays, next to most popular and the ensemble in service. Publishes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        group = parser.add_mutually_exclusive_group()
        group.add_argument("version", nargs="?", help="evaluate its ensemble; by default the version in service")
        group.add_argument("--recipe", type=Path, help="a JSON file with an ensemble, instead of a version")
        parser.add_argument(
            "--policy", help="try a policy as well: a JSON file, NAME or NAME@VERSION, beside the policies in use"
        )
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
        policies = load_policies_in_use()
        trial = _trial(options["policy"]) if options["policy"] else None
        try:
            with ProgressBars() as bars, logging_redirect_tqdm():
                report = evaluate_ensemble(
                    _ensemble(options),
                    split=options["split"],
                    holdout=options["holdout"],
                    question=options["question"] or settings.MUSICREC["QUESTION"],
                    ks=options["k"] or (5, 10, 20),
                    max_listeners=options["listeners"] or None,
                    policies=policies,
                    trial=trial,
                    progress=bars.show,
                )
        except CannotEvaluate as error:
            raise CommandError(str(error)) from error
        if trial:
            in_use = policies[trial.name if trial.name in policies else "personal"]
            self.stdout.write(f"column policy: {options['policy']} in place of {in_use.label}")
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


def _trial(argument: str) -> Policy:
    """Return the policy of a file if there is one with this name, or else that of a label."""
    try:
        return read_policy_file(Path(argument)) if Path(argument).is_file() else find_policy_by_label(argument)
    except (OSError, ValueError, TypeError, UnknownPolicy) as error:
        raise CommandError(f"--policy: {error}") from error


def _format_report(report: dict[str, Any]) -> Iterator[str]:
    """Yield a table: a row for each metric, and for each question a column of means per model.

    For the question that decides, the 95 % interval of the first model stands beside its mean.
    """
    yield f"{report['split']} split, {report['holdout']:.0%} held out; decisive question: {report['question']}"
    answers = {name: answer for name, answer in report["questions"].items() if answer["models"]}
    if not answers:
        yield "no listeners to evaluate on"
        yield from _format_next_track(report)
        return
    headings, columns = " " * NAME, []
    for name, answer in answers.items():
        models = [_Column(title, model) for title, model in answer["models"].items()]
        if name == report["question"]:
            models.insert(1, _Column("95 % interval", answer["models"]["model"], is_interval=True))
        heading = f"{name} ({format_listeners(answer['listeners'])})"
        headings += f"{heading:>{sum(column.width for column in models)}}"
        columns += models
    yield headings
    yield " " * NAME + "".join(f"{column.title:>{column.width}}" for column in columns)
    first = next(iter(answers.values()))["models"]["model"]
    for metric in first["metrics"]:
        yield f"{metric:{NAME}}" + "".join(column.format(metric) for column in columns)
    for name, segment in first["segments"].items():
        for metric in segment["metrics"]:
            if metric.startswith("ndcg@"):
                yield f"{f'{metric} {name}':{NAME}}" + "".join(column.format(metric, name) for column in columns)
    yield from (f"{name}: no listener could be asked" for name in report["questions"] if name not in answers)
    yield from _format_next_track(report)


def _format_next_track(report: dict[str, Any]) -> Iterator[str]:
    """Yield tables about the next track of later sessions, with a row for each model."""
    next_track = report.get("next_track") or {"skipped": "nothing was held out"}
    if skipped := next_track.get("skipped"):
        yield f"next track: not evaluated, {skipped}"
        return
    for title, table in (("next track", next_track), ("in slates", next_track.get("served"))):
        if table:
            heading = f"{title} ({table['plays']:,} plays of {table['sessions']:,} sessions)"
            yield f"{heading:{WIDE}}{'recall@20':>{COLUMN}}{'mrr@20':>{COLUMN}}{'first − this':>{WIDE}}"
            for name, metrics in table["models"].items():
                numbers = f"{metrics['recall@20']:>{COLUMN}.4f}{metrics['mrr@20']:>{COLUMN}.4f}"
                interval = ""
                if difference := table["differences"].get(name):
                    interval = f"{difference['mean']:+.4f} ({difference['low']:+.4f} … {difference['high']:+.4f})"
                yield f"{name:{WIDE}}{numbers}{interval:>{WIDE}}"


@dataclass(frozen=True)
class _Column:
    """A column of the table: the means of a model, or its intervals."""

    title: str
    model: dict[str, Any]
    is_interval: bool = False

    @property
    def width(self) -> int:
        return INTERVAL if self.is_interval else COLUMN

    def format(self, metric: str, segment: str = "") -> str:
        """Return the cell of a metric, of all listeners or of one segment."""
        evaluation = self.model["segments"].get(segment, {"metrics": {}}) if segment else self.model
        value = evaluation["metrics"].get(metric)
        if value is None:
            text = "—"
        elif self.is_interval:
            text = f"{value['low']:.4f} … {value['high']:.4f}"
        else:
            text = f"{value['mean']:.4f}"
        return f"{text:>{self.width}}"
