"""Line charts for admin pages, drawn by the Chart.js that the admin theme ships.

A page builds `Chart` objects, includes `common/chart.html` for each, and loads `common/charts.js` once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

Values = Sequence[float | None]


@dataclass(frozen=True)
class PointStyle:
    """The marker of one point.

    Attributes:
        shape: a `pointStyle` of Chart.js.
        radius: in pixels.
        color: the name of a CSS variable; "" for the colour of the line.
        filled: False for an outline.
    """

    shape: str = "circle"
    radius: float = 2.5
    color: str = ""
    filled: bool = True


@dataclass(frozen=True)
class Series:
    """One line.

    Args:
        label: its name in the legend.
        values: one for each label of the chart; the line has a gap where a value is None.
        low: lower bounds of intervals, drawn as a band; empty, or one for each value.
        high: upper bounds.
        color: the name of a CSS variable of `common/admin_pages.css`, which has one value for each theme.
        dashed: draw a dashed line, so that two lines can be told apart without seeing colours.
        points: how to draw each point; empty for small dots.
    """

    label: str
    values: Values
    low: Values = ()
    high: Values = ()
    color: str = "q-0"
    dashed: bool = False
    points: Sequence[PointStyle] = ()


@dataclass(frozen=True)
class Unit:
    """How numbers are written: `divisor` and `suffix` beside the axis, `format` in the tooltip."""

    format: Callable[[float], str]
    divisor: float = 1
    suffix: str = ""

    def scaled_to(self, largest: float) -> Unit:
        """Return the unit in which a largest value is easy to read: minutes or hours instead of seconds."""
        if self.suffix == " s" and largest / self.divisor >= 120:
            minutes = largest / self.divisor < 7200
            return replace(self, divisor=self.divisor * (60 if minutes else 3600), suffix=" min" if minutes else " h")
        if self.suffix == " MB" and largest >= 2e9:
            return replace(self, divisor=1e9, suffix=" GB")
        return self


NUMBER = Unit("{:,.4g}".format)
COUNT = Unit("{:,.0f}".format)
SHARE = Unit("{:.4%}".format, 0.01, " %")


@dataclass(frozen=True)
class Chart:
    """A chart of one or more lines over common labels.

    Args:
        name: identifies the chart within the page.
        title: its heading.
        labels: below the axis, one for each value.
        series: the lines.
        unit: how the values are written.
        hint: a short explanation beside the title.
        empty_text: shown instead of the chart if no series has a value.
        from_zero: begin the axis at zero, as fits amounts.
        links: for each label the page that a click opens; empty for none.
        tooltips: for each label the lines of its tooltip, the first one as title; by default the label and all values.
    """

    name: str
    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: Unit = NUMBER
    hint: str = ""
    empty_text: str = "No data."
    from_zero: bool = True
    links: Sequence[str] = ()
    tooltips: Sequence[Sequence[str]] = ()

    @property
    def is_empty(self) -> bool:
        return all(value is None for series in self.series for value in series.values)

    @property
    def config(self) -> dict[str, Any]:
        """The input of `common/charts.js`, ready for JSON."""
        values = [v for series in self.series for v in (*series.values, *series.high) if v is not None]
        unit = self.unit.scaled_to(max(values, default=0))
        return {
            "labels": list(self.labels),
            "series": [self._series_config(series) for series in self.series],
            "divisor": unit.divisor,
            "suffix": unit.suffix,
            "from_zero": self.from_zero,
            "links": list(self.links),
            "tooltips": [list(lines) for lines in self.tooltips or self._default_tooltips()],
        }

    @property
    def config_json(self) -> str:
        return json.dumps(self.config)

    def _series_config(self, series: Series) -> dict[str, Any]:
        points = series.points or [PointStyle()] * len(series.values)
        return {
            "label": series.label,
            "values": list(series.values),
            "low": list(series.low),
            "high": list(series.high),
            "color": series.color,
            "dashed": series.dashed,
            "points": [[p.shape, p.radius, p.color or series.color, p.filled] for p in points],
        }

    def _default_tooltips(self) -> list[list[str]]:
        return [
            [label, *(f"{s.label}: {self._describe(s, index)}" for s in self.series if s.values[index] is not None)]
            for index, label in enumerate(self.labels)
        ]

    def _describe(self, series: Series, index: int) -> str:
        text = self.unit.format(series.values[index] or 0.0)
        low, high = (bounds[index] if bounds else None for bounds in (series.low, series.high))
        return text if low is None or high is None else f"{text} ({self.unit.format(low)} to {self.unit.format(high)})"
