"""Rates and their intervals from sums over listeners.

What one listener sees, opens and skips hangs together, so the interval of a rate is that of a ratio of two sums over
listeners, by the delta method: with r = Σx / Σy, Var(r) ≈ n/(n−1) · Σ(x − r·y)² / (Σy)² (Deng, Knoblich & Lu, "Applying
the Delta Method in Metric Analytics", KDD 2018). A listener of two days counts as two. Where all listeners are alike,
as when nobody has clicked yet, there is no spread to go by: then each listener is one trial.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

Z = 1.959964  # 95 %
RATIOS = {  # what is counted, of what
    "ctr": ("clicks", "impressions"),
    "completion_rate": ("completions", "plays"),
    "skip_rate": ("skips", "plays"),
    "listened_ms_per_slate": ("listened_ms", "slates"),
}
PROPORTIONS = frozenset({"ctr", "completion_rate", "skip_rate"})


@dataclass(frozen=True)
class RateEstimate:
    """value, and its 95 % interval; None where nothing was counted, low and high also for a single listener."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Moments:
    """Of n listeners, x and y of each: what an interval of Σx / Σy needs."""

    n: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> Moments:
        """pairs: x and y of each listener, or of each slate that is nobody's."""
        rows = list(pairs)
        return cls(
            len(rows),
            *(sum(x for x, _ in rows), sum(y for _, y in rows)),
            *(sum(x * x for x, _ in rows), sum(x * y for x, y in rows), sum(y * y for _, y in rows)),
        )

    @classmethod
    def together(cls, several: Iterable[Moments]) -> Moments:
        """Of groups that have no listener in common."""
        found = list(several)
        return cls(*(sum(getattr(m, name) for m in found) for name in ("n", "x", "y", "xx", "xy", "yy")))

    def rate(self, *, proportion: bool = False) -> RateEstimate:
        if not self.y:
            return RateEstimate()
        r = self.x / self.y
        if self.n < 2:
            return RateEstimate(r)
        spread = max(self.xx - 2 * r * self.xy + r * r * self.yy, 0.0)
        if proportion and spread <= 1e-9 * self.yy:
            return wilson_interval(r * self.n, self.n)
        half = Z * sqrt(self.n / (self.n - 1) * spread) / self.y
        return RateEstimate(r, max(r - half, 0.0), min(r + half, 1.0) if proportion else r + half)


def wilson_interval(successes: float, trials: int) -> RateEstimate:
    """Of independent trials, as listeners who came back are (Wilson, "Probable inference …", JASA 1927)."""
    if not trials:
        return RateEstimate()
    p, z2 = successes / trials, Z * Z / trials
    centre, half = p + z2 / 2, Z * sqrt(p * (1 - p) / trials + z2 / (4 * trials))
    return RateEstimate(p, max((centre - half) / (1 + z2), 0.0), min((centre + half) / (1 + z2), 1.0))
