"""Read the evaluation report of a version.

Reports are JSON of any release, so everything is read defensively: what has another shape than expected is left out.
A version that was trained without held-out plays has no evaluation at all.
"""

from dataclasses import dataclass
from typing import Any

from recommendations.models import ModelArtifact


@dataclass(frozen=True)
class MetricInfo:
    """How a metric is shown. better: 1 if more is better, -1 if less is, 0 if neither is."""

    label: str
    meaning: str
    better: int
    form: str = ".4f"


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
    "diversity": MetricInfo("Diversity", "How different the tracks of a list are from each other", 0, ".3f"),
    "novelty": MetricInfo("Novelty", "How unlikely a listener is to know a recommended track, in bits", 0, ".2f"),
    "popularity": MetricInfo("Popularity", "Average number of listeners of a recommended track", 0, ",.1f"),
}
MAIN_METRIC = "ndcg@10"


def metric_of(key: str) -> MetricInfo:
    """Return what is known of a key like "ndcg@10"; an unknown metric is shown by its own name."""
    name = key.partition("@")[0]
    return METRICS.get(name) or MetricInfo(name, "", 0)


def cut_off(key: str) -> int | None:
    """Return the K of a key like "ndcg@10", or None if it has none."""
    k = key.partition("@")[2]
    return int(k) if k.isdecimal() else None


def label_of(key: str) -> str:
    return metric_of(key).label + (f"@{k}" if (k := cut_off(key)) else "")


def in_order(keys: set[str]) -> list[str]:
    """Sort metric keys by K, and then in the order of METRICS."""
    names = list(METRICS)
    place = {key: names.index(n) if (n := key.partition("@")[0]) in METRICS else len(names) for key in keys}
    return sorted(keys, key=lambda key: (cut_off(key) or 0, place[key], key))


@dataclass(frozen=True)
class MetricValue:
    """A mean, with the bounds of its 95 % interval if the report has them."""

    mean: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: Any) -> "MetricValue | None":
        """Read a plain number, as in reports of the first release, or a mean with its interval."""
        if isinstance(value, dict):
            numbers = [_number(value.get(name)) for name in ("mean", "low", "high")]
            return None if numbers[0] is None else cls(numbers[0], *numbers[1:])
        number = _number(value)
        return None if number is None else cls(number)

    def over(self, base: float) -> "MetricValue | None":
        """Return this value as a share of `base`, or None if `base` is zero."""
        bounds = [None if bound is None or not base else bound / base for bound in (self.low, self.high)]
        return MetricValue(self.mean / base, *bounds) if base else None

    def interval(self, form: str) -> str:
        return "" if self.low is None or self.high is None else f"{self.low:{form}} to {self.high:{form}}"

    def difference(self, form: str) -> str:
        return _signed(self.mean, form)

    def difference_interval(self, form: str) -> str:
        return (
            "" if self.low is None or self.high is None else f"{_signed(self.low, form)} to {_signed(self.high, form)}"
        )


@dataclass(frozen=True)
class Report:
    """The report of a version. `models` has "model", "most_popular" and sometimes "in_service"."""

    content: dict[str, Any]
    models: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, artifact: ModelArtifact) -> "Report":
        content = _dict(_dict(artifact.manifest).get("report"))
        # Reports of the first release had the metrics of both models at the top level.
        flat = {n: {"metrics": content[n]} for n in ("model", "most_popular") if isinstance(content.get(n), dict)}
        return cls(content, {n: _dict(of) for n, of in _dict(content.get("models", flat)).items()})

    def metrics(self, model: str = "model", segment: str = "") -> dict[str, MetricValue]:
        """Return the metrics of a model by key, of all listeners or of one segment."""
        of = self.models.get(model, {})
        found = _dict(_dict(_dict(of.get("segments")).get(segment)) if segment else of).get("metrics")
        read = {key: MetricValue.of(value) for key, value in _dict(found).items()}
        return {key: measured for key, measured in read.items() if measured}

    def differences(self, other: str) -> dict[str, MetricValue]:
        """Return the mean differences per listener between the model and `other`, by metric key."""
        found = _dict(_dict(self.content.get("differences")).get(other))
        read = {key: MetricValue.of(value) for key, value in found.items()}
        return {key: measured for key, measured in read.items() if measured}

    @property
    def compared_with(self) -> str:
        """The version in service when this one was evaluated, or "" if the report does not name it."""
        name = self.content.get("in_service")
        return name if isinstance(name, str) else ""

    @property
    def segments(self) -> dict[str, int]:
        """The number of listeners or tracks of each segment, in the order of the report."""
        segments = _dict(self.models.get("model", {}).get("segments"))
        return {name: int(_number(_dict(of).get("listeners")) or 0) for name, of in segments.items()}

    @property
    def listeners(self) -> float:
        """The number of listeners that it was evaluated on."""
        return _number(self.content.get("listeners")) or 0

    @property
    def split(self) -> str:
        """A description of how the plays were held out; "" without an evaluation."""
        if not self.models:
            return ""
        share = _number(self.content.get("holdout"))
        held_out = f", {share:.0%} of the plays held out" if share else ""
        return f"{self.listeners:,.0f} listeners, {self.content.get('split')} split{held_out}"


def _signed(number: float, form: str) -> str:
    """Write a difference; that of two percentages in points, because "+5 %" would be ambiguous."""
    return f"{100 * number:+z.1f} pts" if form.endswith("%") else f"{number:+z{form}}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
