"""Compare the report of a version with a baseline: the main metric by segment, and tables of all metrics."""

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from recommendations.admin.formatting import format_count
from recommendations.admin.report import (
    MAIN_METRIC,
    QUESTION_TITLES,
    MetricInfo,
    MetricValue,
    Report,
    cut_off,
    metric_info,
    sort_metrics,
)
from recommendations.models import ModelArtifact

NOT_ASKED = {
    "new": "No listener played a track that was new to them",
    "all": "No listener has plays on both sides of the split",
    "repeats": "No listener played a track of their past again",
}
SEGMENTS = {
    "": ("All listeners", ""),
    "cold": ("Cold listeners", "almost no plays yet"),
    "light": ("Light listeners", "fewer plays than the median"),
    "heavy": ("Heavy listeners", "more plays than the median"),
    "head": ("Head of the catalogue", "the most popular tracks, which have half of the plays"),
    "tail": ("Tail of the catalogue", "all other tracks"),
}
DIFFERENCE_PIXELS = 56  # from the middle of the drawing of a difference to either end
SEGMENT_PIXELS = 200  # width of the drawing of a segment


@dataclass(frozen=True)
class Baseline:
    """The evaluation that a version is compared with.

    `differences` are mean differences per listener by metric key. They exist only if both were evaluated together.
    """

    title: str
    note: str
    report: Report
    model: str
    differences: dict[str, MetricValue] = field(default_factory=dict)

    @classmethod
    def choose(cls, report: Report, other: ModelArtifact | None, requested: str = "") -> "Baseline | None":
        """Return the ensemble in service from the version's own report if possible, else the report of `other`.

        The former was evaluated on the same plays, but is only right if `other` is that version, or if no particular
        version was requested.
        """
        in_service = report.compared_with
        is_same = in_service == other.version if in_service and other else not requested
        if "in_service" in report.models and is_same:
            note = (
                "Both were evaluated on the same listeners and the same held-out plays: a difference whose interval "
                "excludes zero is unlikely to be chance."
            )
            title = in_service or "In service when it was trained"
            return cls(title, note, report, "in_service", report.differences("in_service"))
        if other is None:
            return None
        other_report = Report.from_artifact(other, report.question)
        if not report.models and not other_report.models:
            note = "Neither of the two has an evaluation for this question, so there is nothing to compare."
        elif not report.models or not other_report.models:
            note = "One of the two has no evaluation for this question, so there is nothing to compare."
        elif report.content.get("split") != other_report.content.get("split"):
            note = "The two were evaluated on different kinds of split: their numbers must not be compared."
        else:
            note = (
                "Each was evaluated when it was trained, on the plays that were held out then. If those are different "
                "plays, a small difference may come from them and not from the models."
            )
        return cls(other.version, note, other_report, "model")


@dataclass(frozen=True)
class MetricDifference:
    """The difference between a version and its baseline, as texts.

    `verdict` is "better", "worse", "even", or "" if there is no interval or neither direction is better. `relative`
    is the difference as a share of the baseline, if it has an interval to draw.
    """

    text: str
    interval: str
    share: str
    verdict: str
    relative: MetricValue | None = None

    @classmethod
    def from_values(
        cls, value: MetricValue, baseline: MetricValue, paired: MetricValue | None, metric: MetricInfo
    ) -> "MetricDifference":
        difference = paired or MetricValue(value.mean - baseline.mean)
        relative = difference.relative_to(baseline.mean)
        return cls(
            difference.format_difference(metric.format_spec),
            difference.format_difference_interval(metric.format_spec),
            f"{relative.mean:+.1%}" if relative else "",
            _verdict(difference, metric.better),
            relative if relative and relative.low is not None else None,
        )


def _verdict(difference: MetricValue, better: int) -> str:
    if difference.low is None or difference.high is None or not better:
        return ""
    if difference.low <= 0 <= difference.high:
        return "even"
    return "better" if (difference.low > 0) == (better > 0) else "worse"


@dataclass(frozen=True)
class PixelInterval:
    """Positions of the mean and the bounds of an interval in a drawing, in pixels."""

    low: float
    mean: float
    high: float

    @classmethod
    def scale(cls, value: MetricValue, pixels_per_unit: float) -> "PixelInterval":
        low = value.mean if value.low is None else value.low
        high = value.mean if value.high is None else value.high
        return cls(*(round(number * pixels_per_unit, 1) for number in (low, value.mean, high)))


@dataclass(frozen=True)
class MetricRow:
    """A metric of the version, its baseline and most popular, as texts; "" where there is none."""

    key: str
    metric: MetricInfo
    value: str
    interval: str
    baseline: str = ""
    popular: str = ""
    difference: MetricDifference | None = None
    drawing: PixelInterval | None = None


@dataclass(frozen=True)
class MetricTable:
    """The metrics at one K; the title is "" for metrics without a K."""

    title: str
    is_open: bool
    rows: list[MetricRow]


def metric_tables(report: Report, baseline: Baseline | None, segment: str = "") -> list[MetricTable]:
    """Return all metrics of a segment, a table for each K."""
    values, popular = report.metrics("model", segment), report.metrics("most_popular", segment)
    baseline_values = baseline.report.metrics(baseline.model, segment) if baseline else {}
    paired = baseline.differences if baseline and not segment else {}
    rows = [
        _metric_row(key, values[key], baseline_values.get(key), popular.get(key), paired.get(key))
        for key in sort_metrics(set(values))
    ]
    # All differences are relative to the baseline and share one scale, so that they can be compared down the page.
    drawable = [row.difference.relative for row in rows if row.difference and row.difference.relative]
    longest = max((max(abs(value.low or 0), abs(value.high or 0)) for value in drawable), default=0)
    for index, row in enumerate(rows):
        if longest and row.difference and row.difference.relative:
            drawing = PixelInterval.scale(row.difference.relative, DIFFERENCE_PIXELS / longest)
            rows[index] = replace(row, drawing=drawing)
    return [
        MetricTable(f"First {k}" if k else "", k in (None, 10), list(group))
        for k, group in groupby(rows, lambda row: cut_off(row.key))
    ]


def _metric_row(
    key: str,
    value: MetricValue,
    baseline: MetricValue | None,
    popular: MetricValue | None,
    paired: MetricValue | None = None,
) -> MetricRow:
    metric = metric_info(key)
    return MetricRow(
        key,
        metric,
        f"{value.mean:{metric.format_spec}}",
        value.format_interval(metric.format_spec),
        f"{baseline.mean:{metric.format_spec}}" if baseline else "",
        f"{popular.mean:{metric.format_spec}}" if popular else "",
        MetricDifference.from_values(value, baseline, paired, metric) if baseline else None,
    )


def segment_title(segment: str) -> str:
    return SEGMENTS.get(segment, (segment, ""))[0]


@dataclass(frozen=True)
class MetricSummary:
    """The main metric of a question or a segment, drawn on a scale that all of them share."""

    name: str
    title: str
    meaning: str
    size: str
    row: MetricRow
    drawing: PixelInterval
    baseline_at: float | None
    popular_at: float | None


def question_summaries(report: Report, other: ModelArtifact | None, requested: str) -> list[MetricSummary]:
    """Return the main metric for each question; empty if the report answers only one.

    Args:
        other: see `Baseline.choose`.
        requested: see `Baseline.choose`.
    """
    reports = report.answers()
    if len(reports) < 2:
        return []
    entries = []
    for question, answer in reports.items():
        baseline = Baseline.choose(answer, other, requested)
        titles = QUESTION_TITLES[question]
        entries.append(_SummaryEntry(question, *titles, format_count(answer.listeners), answer, baseline))
    return _summarize(entries)


def unanswered_questions(report: Report) -> list[str]:
    """Return a sentence for each question that the evaluation could ask no listener."""
    answers = report.answers()
    if len(answers) < 2:  # of none, or of an older release that asked one question
        return []
    return [f"{QUESTION_TITLES[name][0]}: {NOT_ASKED[name]}." for name in QUESTION_TITLES if name not in answers]


def explain_repeats(artifact: ModelArtifact, report: Report) -> str:
    """Return why the answers about repeats are the same for many recipes; "" if they are not, or there are none."""
    if "repeats" not in report.answers() or "repeat" in artifact.algorithm.split("+"):
        return ""
    return (
        "Repeats are ranked by activation (how recently and how often a track was played) for every recipe without the "
        "component “repeat”, so on the same plays their numbers are the same for all of those."
    )


def segment_summaries(report: Report, baseline: Baseline | None) -> list[MetricSummary]:
    """Return the main metric of all listeners and of each segment; empty if the report has no segments."""
    sizes = {"": report.listeners, **report.segments}
    summaries = _summarize(
        [
            _SummaryEntry(name, *SEGMENTS.get(name, (name, "")), format_count(size), report, baseline, name)
            for name, size in sizes.items()
        ]
    )
    return summaries if len(summaries) > 1 else []


class _SummaryEntry(NamedTuple):
    """What a row of a summary is made of."""

    name: str
    title: str
    meaning: str
    size: str
    report: Report
    baseline: Baseline | None
    segment: str = ""

    def value(self, model: str) -> MetricValue | None:
        return self.report.metrics(model, self.segment).get(MAIN_METRIC)

    @property
    def compared(self) -> MetricValue | None:
        """The value of the baseline."""
        if self.baseline is None:
            return None
        return self.baseline.report.metrics(self.baseline.model, self.segment).get(MAIN_METRIC)

    @property
    def paired(self) -> MetricValue | None:
        """The difference per listener, where both were evaluated together; reports have it for all listeners only."""
        return self.baseline.differences.get(MAIN_METRIC) if self.baseline and not self.segment else None


def _summarize(entries: list[_SummaryEntry]) -> list[MetricSummary]:
    """Return a row for each entry that has the main metric."""
    rows = [
        (entry, value, entry.compared, entry.value("most_popular"))
        for entry in entries
        if (value := entry.value("model"))
    ]
    highest = max((max(v.high or v.mean, v.mean) for _, *values in rows for v in values if v), default=0)
    pixels = SEGMENT_PIXELS / highest if highest else 0
    return [
        MetricSummary(
            entry.name,
            entry.title,
            entry.meaning,
            entry.size,
            _metric_row(MAIN_METRIC, value, compared, popular, entry.paired),
            PixelInterval.scale(value, pixels),
            round(compared.mean * pixels, 1) if compared else None,
            round(popular.mean * pixels, 1) if popular else None,
        )
        for entry, value, compared, popular in rows
    ]
