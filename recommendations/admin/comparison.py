"""The report of a version beside its baseline: tables of all metrics, and the main one by segment."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from recommendations.admin.baseline import Baseline
from recommendations.admin.formatting import count
from recommendations.admin.report import MAIN_METRIC, MetricInfo, MetricValue, Report, cut_off, in_order, metric_of

SEGMENTS = {
    "": ("All listeners", ""),
    "cold": ("Cold listeners", "almost no plays yet"),
    "light": ("Light listeners", "fewer plays than the median"),
    "heavy": ("Heavy listeners", "more plays than the median"),
    "head": ("Head of the catalogue", "the most popular tracks, which have half of the plays"),
    "tail": ("Tail of the catalogue", "all other tracks"),
}
_HALF = 56  # pixels from the middle of a drawn difference to either end
_WIDTH = 200  # pixels of a drawn segment


@dataclass(frozen=True)
class MetricDifference:
    """verdict: "better", "worse", "even", or "" where there is no interval or no better. The rest is for drawing."""

    words: str
    interval: str
    share: str
    verdict: str
    relative: MetricValue | None = None

    @classmethod
    def of(
        cls, ours: MetricValue, theirs: MetricValue, paired: MetricValue | None, metric: MetricInfo
    ) -> "MetricDifference":
        measured = paired or MetricValue(ours.mean - theirs.mean)
        relative = measured.over(theirs.mean)
        return cls(
            measured.difference(metric.form),
            measured.difference_interval(metric.form),
            f"{relative.mean:+.1%}" if relative else "",
            _verdict(measured, metric.better),
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
    """Where the bounds and the mean lie, in pixels."""

    low: float
    mean: float
    high: float

    @classmethod
    def of(cls, measured: MetricValue, pixels: float) -> "PixelInterval":
        """pixels: of 1."""
        low = measured.mean if measured.low is None else measured.low
        high = measured.mean if measured.high is None else measured.high
        return cls(*(round(number * pixels, 1) for number in (low, measured.mean, high)))


@dataclass(frozen=True)
class MetricRow:
    """A metric of all models; `theirs` and `popular` are "" where there is none."""

    key: str
    metric: MetricInfo
    ours: str
    interval: str
    theirs: str = ""
    popular: str = ""
    difference: MetricDifference | None = None
    drawn: PixelInterval | None = None


@dataclass(frozen=True)
class MetricTable:
    """The metrics at one K; title "" for those that have none."""

    title: str
    is_open: bool
    rows: list[MetricRow]


def tables(report: Report, baseline: Baseline | None, segment: str = "") -> list[MetricTable]:
    ours, popular = report.metrics("model", segment), report.metrics("most_popular", segment)
    theirs = baseline.report.metrics(baseline.model, segment) if baseline else {}
    paired = baseline.differences if baseline and not segment else {}
    rows = [_row(key, ours[key], theirs.get(key), popular.get(key), paired.get(key)) for key in in_order(set(ours))]
    return [
        MetricTable(f"First {k}" if k else "", k in (None, 10), list(of))
        for k, of in groupby(_with_drawings(rows), lambda row: cut_off(row.key))
    ]


def _row(
    key: str, ours: MetricValue, theirs: MetricValue | None, popular: MetricValue | None, paired: MetricValue | None
) -> MetricRow:
    metric = metric_of(key)
    return MetricRow(
        key,
        metric,
        f"{ours.mean:{metric.form}}",
        ours.interval(metric.form),
        f"{theirs.mean:{metric.form}}" if theirs else "",
        f"{popular.mean:{metric.form}}" if popular else "",
        MetricDifference.of(ours, theirs, paired, metric) if theirs else None,
    )


def _with_drawings(rows: list[MetricRow]) -> Iterable[MetricRow]:
    """Differences relative to the baseline, all on one scale, so that they can be compared down the page."""
    known = [row.difference.relative for row in rows if row.difference and row.difference.relative]
    longest = max((max(abs(r.low or 0), abs(r.high or 0)) for r in known), default=0)
    for row in rows:
        relative = row.difference and row.difference.relative
        yield replace(row, drawn=PixelInterval.of(relative, _HALF / longest)) if relative and longest else row


def title_of(segment: str) -> str:
    return SEGMENTS.get(segment, (segment, ""))[0]


@dataclass(frozen=True)
class SegmentSummary:
    """One line of the summary: the main metric of a segment, drawn on a scale that all segments share."""

    name: str
    title: str
    meaning: str
    listeners: str
    row: MetricRow
    drawn: PixelInterval
    theirs_at: float | None
    popular_at: float | None


def segments(report: Report, baseline: Baseline | None) -> list[SegmentSummary]:
    """All listeners first, then the segments of the report; without those, nothing: the tables say it all."""
    found = {name: _main(report, baseline, name) for name in ("", *report.segments)}
    found = {name: of for name, of in found.items() if of[0]}
    highest = max((max(m.high or m.mean, m.mean) for of in found.values() for m in of if m), default=0)
    pixels = _WIDTH / highest if highest else 0
    return [_segment(report, name, of, pixels) for name, of in found.items()] if len(found) > 1 else []


Three = tuple[MetricValue | None, MetricValue | None, MetricValue | None]


def _main(report: Report, baseline: Baseline | None, segment: str) -> Three:
    """Ours, that of the baseline, and most popular's."""
    theirs = baseline.report.metrics(baseline.model, segment).get(MAIN_METRIC) if baseline else None
    return (
        report.metrics("model", segment).get(MAIN_METRIC),
        theirs,
        report.metrics("most_popular", segment).get(MAIN_METRIC),
    )


def _segment(report: Report, name: str, of: Three, pixels: float) -> SegmentSummary:
    ours, theirs, popular = of
    assert ours is not None
    title, meaning = SEGMENTS.get(name, (name, ""))
    listeners = count(report.segments[name] if name else report.listeners)
    at = [round(m.mean * pixels, 1) if m else None for m in (theirs, popular)]
    return SegmentSummary(
        name,
        title,
        meaning,
        listeners,
        _row(MAIN_METRIC, ours, theirs, popular, None),
        PixelInterval.of(ours, pixels),
        *at,
    )
