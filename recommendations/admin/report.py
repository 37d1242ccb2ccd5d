"""Read the evaluation report of a version.

Reports are JSON of any release, so everything is read defensively: what has another shape than expected is left out.
A version that was trained without held-out plays has no evaluation at all.
"""

from dataclasses import dataclass
from typing import Any

from engine.evaluation.questions import NEW, QUESTIONS, question_report
from recommendations.admin.formatting import format_listeners
from recommendations.models import ModelArtifact


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is shown.

    Attributes:
        label: its name.
        meaning: a short explanation.
        better: 1 if more is better, -1 if less is, 0 if neither is.
        format_spec: the format of its values.
    """

    label: str
    meaning: str
    better: int
    format_spec: str = ".4f"


METRICS = {
    "ndcg": MetricInfo("NDCG", "Whether the held-out tracks are recommended, and how early in the list", 1),
    "recall": MetricInfo("Recall", "Share of the held-out tracks that is recommended", 1),
    "precision": MetricInfo("Precision", "Share of the recommended tracks that was held out", 1),
    "map": MetricInfo("MAP", "Precision at the position of each relevant track, averaged", 1),
    "mrr": MetricInfo("MRR", "One divided by the position of the first relevant track", 1),
    "hit_rate": MetricInfo("Hit rate", "Listeners with at least one relevant track", 1, ".1%"),
    "personalised": MetricInfo("Personalised", "Listeners who get a personal list", 1, ".1%"),
    "coverage": MetricInfo("Coverage", "Share of the played tracks that is recommended to anybody", 1, ".1%"),
    "gini": MetricInfo("Gini", "0: all tracks are recommended equally often; near 1: only a few are", -1, ".3f"),
    "artist_gini": MetricInfo(
        "Artist Gini", "0: all artists are recommended equally often; near 1: only a few are", -1, ".3f"
    ),
    "diversity": MetricInfo("Diversity", "How different the tracks of a list are from each other", 0, ".3f"),
    "novelty": MetricInfo("Novelty", "How unlikely a listener is to know a recommended track, in bits", 0, ".2f"),
    "popularity": MetricInfo("Popularity", "Average number of listeners of a recommended track", 0, ",.1f"),
    "popularity_gap": MetricInfo(
        "Popularity gap", "How far the popularity of recommended tracks is from that of the listener's own", -1, ".3f"
    ),
}
MAIN_METRIC = "ndcg@10"
QUESTION_TITLES = {
    "new": ("New tracks", "that the listener had not played before"),
    "all": ("All tracks", "that they played next, repeats included"),
    "repeats": ("Repeats", "tracks of their past that they played again"),
}


def metric_info(key: str) -> MetricInfo:
    """Return how to show a metric key like "ndcg@10"; an unknown metric is shown by its own name."""
    name = key.partition("@")[0]
    return METRICS.get(name) or MetricInfo(name, "", 0)


def cut_off(key: str) -> int | None:
    """Return the K of a key like "ndcg@10", or None if it has none."""
    k = key.partition("@")[2]
    return int(k) if k.isdecimal() else None


def metric_label(key: str, question: str = "") -> str:
    """Return a label like "NDCG@10", or "NDCG@10, all tracks" with a question."""
    label = metric_info(key).label + (f"@{k}" if (k := cut_off(key)) else "")
    return f"{label}, {question_name(question)}" if question else label


def question_name(question: str) -> str:
    """Return a question as it is named within a sentence, like "all tracks"."""
    return QUESTION_TITLES[question][0].lower()


def sort_metrics(keys: set[str]) -> list[str]:
    """Sort metric keys by K, and then in the order of METRICS."""
    names = list(METRICS)
    order = {key: names.index(n) if (n := key.partition("@")[0]) in METRICS else len(names) for key in keys}
    return sorted(keys, key=lambda key: (cut_off(key) or 0, order[key], key))


@dataclass(frozen=True)
class MetricValue:
    """A mean, with the bounds of its 95 % interval if the report has them."""

    mean: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def parse(cls, value: Any) -> "MetricValue | None":
        """Read a plain number, as in reports of the first release, or a mean with its interval."""
        if isinstance(value, dict):
            numbers = [_as_number(value.get(name)) for name in ("mean", "low", "high")]
            return None if numbers[0] is None else cls(numbers[0], *numbers[1:])
        number = _as_number(value)
        return None if number is None else cls(number)

    def relative_to(self, base: float) -> "MetricValue | None":
        """Return this value as a share of `base`, or None if `base` is zero."""
        bounds = [None if bound is None or not base else bound / base for bound in (self.low, self.high)]
        return MetricValue(self.mean / base, *bounds) if base else None

    def format_interval(self, format_spec: str) -> str:
        if self.low is None or self.high is None:
            return ""
        return f"{self.low:{format_spec}} to {self.high:{format_spec}}"

    def format_difference(self, format_spec: str) -> str:
        return _format_signed(self.mean, format_spec)

    def format_difference_interval(self, format_spec: str) -> str:
        if self.low is None or self.high is None:
            return ""
        return f"{_format_signed(self.low, format_spec)} to {_format_signed(self.high, format_spec)}"


@dataclass(frozen=True)
class Report:
    """The report of a version, as far as it answers one question.

    Attributes:
        content: the whole report.
        question: one of `engine.evaluation.questions.QUESTIONS`.
        answer: the part of the report that answers it.
        models: of the answer: "model", "most_popular" and sometimes "in_service".
    """

    content: dict[str, Any]
    question: str
    answer: dict[str, Any]
    models: dict[str, dict[str, Any]]

    @classmethod
    def from_artifact(cls, artifact: ModelArtifact, question: str = "") -> "Report":
        """Read the report of a version.

        Args:
            question: one of `QUESTIONS`; by default the one that the version was chosen for.
        """
        return cls.from_content(as_dict(as_dict(artifact.manifest).get("report")), question)

    @classmethod
    def from_content(cls, content: dict[str, Any], question: str = "") -> "Report":
        """Read a report, see `from_artifact`."""
        if question not in QUESTIONS:
            decides = content.get("question")
            question = decides if decides in QUESTIONS else NEW
        if "questions" in content:
            content = content | {"questions": as_dict(content["questions"])}
        answer = question_report(content, question)
        # Reports of the first release had the metrics of both models at the top level.
        flat = {n: {"metrics": answer[n]} for n in ("model", "most_popular") if isinstance(answer.get(n), dict)}
        models = as_dict(answer.get("models", flat))
        return cls(content, question, answer, {name: as_dict(evaluation) for name, evaluation in models.items()})

    def metrics(self, model: str = "model", segment: str = "") -> dict[str, MetricValue]:
        """Return the metrics of a model by key, of all listeners or of one segment."""
        evaluation = self.models.get(model, {})
        if segment:
            evaluation = as_dict(as_dict(evaluation.get("segments")).get(segment))
        return _parse_values(evaluation.get("metrics"))

    def differences(self, other: str) -> dict[str, MetricValue]:
        """Return the mean differences per listener between the model and `other`, by metric key."""
        return _parse_values(as_dict(self.answer.get("differences")).get(other))

    @property
    def compared_with(self) -> str:
        """The version in service when this one was evaluated, or "" if the report does not name it."""
        name = self.content.get("in_service")
        return name if isinstance(name, str) else ""

    @property
    def segments(self) -> dict[str, int]:
        """The number of listeners or tracks of each segment, in the order of the report."""
        segments = as_dict(self.models.get("model", {}).get("segments"))
        return {name: int(_as_number(as_dict(segment).get("listeners")) or 0) for name, segment in segments.items()}

    @property
    def listeners(self) -> float:
        """The number of listeners of whom the question was asked."""
        return _as_number(self.answer.get("listeners")) or 0

    def answers(self) -> dict[str, "Report"]:
        """Return the report by question, for all questions that it answers."""
        reports = {question: Report.from_content(self.content, question) for question in QUESTIONS}
        return {question: report for question, report in reports.items() if report.models}

    @property
    def split(self) -> str:
        """A description of how the plays were held out; "" without an evaluation."""
        if not self.models:
            return ""
        share = _as_number(self.content.get("holdout"))
        held_out = f", {share:.0%} of the plays held out" if share else ""
        return f"{format_listeners(self.listeners)}, {self.content.get('split')} split{held_out}"


def _format_signed(number: float, format_spec: str) -> str:
    """Format a difference; that of two percentages in points, because "+5 %" would be ambiguous."""
    return f"{100 * number:+z.1f} pts" if format_spec.endswith("%") else f"{number:+z{format_spec}}"


def _parse_values(values: Any) -> dict[str, MetricValue]:
    """Return the readable values by metric key."""
    parsed = {key: MetricValue.parse(value) for key, value in as_dict(values).items()}
    return {key: value for key, value in parsed.items() if value}


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value if it is a dict, else an empty one: manifests of any release may lack or change a part."""
    return value if isinstance(value, dict) else {}


def _as_number(value: Any) -> float | None:
    """Return a number as a float, and None for anything else, booleans included."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
