"""The report of a version, whatever its shape; a version may also have been judged on nobody, and have none."""

from dataclasses import dataclass
from typing import Any

from recommendations.models import ModelArtifact


@dataclass(frozen=True)
class MetricInfo:
    """better: 1 where more is better, -1 where less is, 0 where it is a matter of taste."""

    label: str
    meaning: str
    better: int
    form: str = ".4f"


METRICS = {
    "ndcg": MetricInfo("NDCG", "Tracks they went on to play are listed, and the earlier the better", 1),
    "recall": MetricInfo("Recall", "Share of the tracks they went on to play that is listed", 1),
    "precision": MetricInfo("Precision", "Share of the list that they went on to play", 1),
    "map": MetricInfo("MAP", "Precision at the place of each right track, averaged", 1),
    "mrr": MetricInfo("MRR", "One divided by the place of the first right track", 1),
    "hit_rate": MetricInfo("Hit rate", "Listeners with at least one right track", 1, ".1%"),
    "personalised": MetricInfo("Personalised", "Listeners who get a list of their own", 1, ".1%"),
    "coverage": MetricInfo("Coverage", "Share of the played tracks that is in anybody’s list", 1, ".1%"),
    "gini": MetricInfo("Gini", "0: all tracks are listed equally often; towards 1: few have it all", -1, ".3f"),
    "diversity": MetricInfo("Diversity", "How unlike each other the tracks of a list are", 0, ".3f"),
    "novelty": MetricInfo("Novelty", "How unlikely one is to know a listed track, in bits", 0, ".2f"),
    "popularity": MetricInfo("Popularity", "Listeners of a listed track, on average", 0, ",.1f"),
}
MAIN_METRIC = "ndcg@10"


def metric_of(key: str) -> MetricInfo:
    """Of a key like "ndcg@10"; one that is new here goes by its own name."""
    name = key.partition("@")[0]
    return METRICS.get(name) or MetricInfo(name, "", 0)


def cut_off(key: str) -> int | None:
    """The K of "ndcg@10"; None where the metric has none."""
    k = key.partition("@")[2]
    return int(k) if k.isdecimal() else None


def label_of(key: str) -> str:
    return metric_of(key).label + (f"@{k}" if (k := cut_off(key)) else "")


def in_order(keys: set[str]) -> list[str]:
    """By K, and then as in METRICS."""
    names = list(METRICS)
    place = {key: names.index(n) if (n := key.partition("@")[0]) in METRICS else len(names) for key in keys}
    return sorted(keys, key=lambda key: (cut_off(key) or 0, place[key], key))


@dataclass(frozen=True)
class MetricValue:
    """low, high: the bounds of its 95 % interval, where the report has one."""

    mean: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: Any) -> "MetricValue | None":
        """From a number, as the first reports had it, or from one with its interval."""
        if isinstance(value, dict):
            numbers = [_number(value.get(name)) for name in ("mean", "low", "high")]
            return None if numbers[0] is None else cls(numbers[0], *numbers[1:])
        number = _number(value)
        return None if number is None else cls(number)

    def over(self, base: float) -> "MetricValue | None":
        """As a share of `base`; nothing is a share of nothing."""
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
    """models: by name "model", "most_popular" and, where there was one, "in_service"."""

    content: dict[str, Any]
    models: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, artifact: ModelArtifact) -> "Report":
        content = _dict(_dict(artifact.manifest).get("report"))
        flat = {n: {"metrics": content[n]} for n in ("model", "most_popular") if isinstance(content.get(n), dict)}
        return cls(content, {n: _dict(of) for n, of in _dict(content.get("models", flat)).items()})

    def metrics(self, model: str = "model", segment: str = "") -> dict[str, MetricValue]:
        """By key; all that was measured of all listeners, or of those of a segment."""
        of = self.models.get(model, {})
        found = _dict(_dict(_dict(of.get("segments")).get(segment)) if segment else of).get("metrics")
        read = {key: MetricValue.of(value) for key, value in _dict(found).items()}
        return {key: measured for key, measured in read.items() if measured}

    def differences(self, other: str) -> dict[str, MetricValue]:
        """How much better the model is than `other`, listener by listener, where the report has it."""
        found = _dict(_dict(self.content.get("differences")).get(other))
        read = {key: MetricValue.of(value) for key, value in found.items()}
        return {key: measured for key, measured in read.items() if measured}

    @property
    def compared_with(self) -> str:
        """The version that was in service when this one was judged, where the report names it."""
        name = self.content.get("in_service")
        return name if isinstance(name, str) else ""

    @property
    def segments(self) -> dict[str, int]:
        """How many listeners each has, in the order of the report."""
        segments = _dict(self.models.get("model", {}).get("segments"))
        return {name: int(_number(_dict(of).get("listeners")) or 0) for name, of in segments.items()}

    @property
    def listeners(self) -> float:
        """How many it was judged on."""
        return _number(self.content.get("listeners")) or 0

    @property
    def split(self) -> str:
        """How the plays were held out, in words; "" where nobody was judged."""
        if not self.models:
            return ""
        share = _number(self.content.get("holdout"))
        held_out = f", {share:.0%} of the plays held out" if share else ""
        return f"{self.listeners:,.0f} listeners, {self.content.get('split')} split{held_out}"


def _signed(number: float, form: str) -> str:
    """A difference of two percentages is in points, for +5 % could be either."""
    return f"{100 * number:+z.1f} pts" if form.endswith("%") else f"{number:+z{form}}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
