"""Rates over days as lines and bands, in the coordinates of an SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, floor, log10
from typing import Any

WIDTH, HEIGHT = 560, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 26
DATES = 6  # below the axis, at most
Points = dict[date, Mapping[str, float | None]]


@dataclass(frozen=True)
class Chart:
    """What a template draws. series: number, name, lines and bands as points of SVG, dots as (x, y, title)."""

    title: str
    series: list[dict[str, Any]]
    ticks: list[tuple[float, str]]
    dates: list[tuple[float, str]]
    empty: bool
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT


def chart(title: str, days: Sequence[date], series: Mapping[str, Points], form: str) -> Chart:
    """series: by name, a rate (`value`, `low`, `high`) for each day that has one. form: "share" or "seconds"."""
    values = [r[k] for points in series.values() for r in points.values() for k in ("value", "high")]
    known = [v for v in values if v is not None]
    step = _step(max(known, default=0.0) or 1.0)
    top = step * max(1, ceil(max(known, default=0.0) / step - 1e-9))
    place = _Place(days[0], max(len(days), 2), top)
    return Chart(
        title,
        [_drawn(number, name, points, place, form) for number, (name, points) in enumerate(series.items())],
        [(place.y(step * n), written(step * n, form)) for n in range(round(top / step) + 1)],
        _dates(days, place),
        empty=not known,
    )


def written(value: float, form: str) -> str:
    return f"{100 * value:.4g} %" if form == "share" else f"{value / 1000:,.4g} s"


@dataclass(frozen=True)
class _Place:
    first: date
    days: int
    top: float

    def x(self, day: date) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * ((day - self.first).days + 0.5) / self.days, 1)

    def y(self, value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / self.top, 1)


def _drawn(number: int, name: str, points: Points, place: _Place, form: str) -> dict[str, Any]:
    stretches = _stretches(points)
    return {
        "number": number % 8,
        "name": name,
        "lines": [_points((place.x(d), place.y(_value(points, d))) for d in days) for days in stretches],
        "bands": [_band([d for d in days if points[d]["low"] is not None], points, place) for days in stretches],
        "dots": [
            (place.x(d), place.y(_value(points, d)), f"{name}, {d}: {written(_value(points, d), form)}")
            for days in stretches
            for d in days
        ],
    }


def _value(points: Points, day: date, key: str = "value") -> float:
    value = points[day][key]
    assert value is not None
    return value


def _band(days: Sequence[date], points: Points, place: _Place) -> str:
    there = [(place.x(d), place.y(_value(points, d, "high"))) for d in days]
    back = [(place.x(d), place.y(_value(points, d, "low"))) for d in reversed(days)]
    return _points(there + back)


def _stretches(points: Points) -> list[list[date]]:
    """Days in a row: a line leads over no day that has no number."""
    found: list[list[date]] = []
    for day in sorted(d for d, rate in points.items() if rate["value"] is not None):
        if found and day - found[-1][-1] == timedelta(days=1):
            found[-1].append(day)
        else:
            found.append([day])
    return found


def _dates(days: Sequence[date], place: _Place) -> list[tuple[float, str]]:
    every = -(-len(days) // DATES)
    return [(place.x(day), f"{day:%-d %b}") for day in list(reversed(days))[::every]]


def _points(pairs: Any) -> str:
    return " ".join(f"{x},{y}" for x, y in pairs)


def _step(most: float) -> float:
    rough = most / 4
    power = 10.0 ** floor(log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
