"""Rates with 95 % intervals, computed from sums over listeners.

What one listener sees, opens and skips is correlated, so a rate is a ratio of two sums over independent listeners. Its
interval follows from the delta method: with r = Σx / Σy, Var(r) ≈ n/(n−1) · Σ(x − r·y)² / (Σy)² (Deng, Knoblich & Lu,
"Applying the Delta Method in Metric Analytics", KDD 2018). A listener who was active on two days counts as two. If all
listeners are alike, for instance because nobody has clicked yet, the variance is zero and says nothing; then each
listener is treated as one binomial trial.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

Z = 1.959964  # the 97.5 % quantile of the normal distribution, for a two-sided 95 % interval
RATIOS = {  # numerator and denominator of each rate
    "ctr": ("clicks", "impressions"),
    "completion_rate": ("completions", "plays"),
    "skip_rate": ("skips", "plays"),
    "listened_ms_per_slate": ("listened_ms", "slates"),
}
PROPORTIONS = frozenset({"ctr", "completion_rate", "skip_rate"})


@dataclass(frozen=True)
class RateEstimate:
    """A rate and its interval. All None if nothing was counted; no interval for a single listener."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Moments:
    """Sums over n listeners of x, y and their products, from which Σx / Σy and its interval follow."""

    n: int = 0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[float, float]]) -> Moments:
        """Sum up x and y of each listener, or of each anonymous slate."""
        rows = list(pairs)
        return cls(
            len(rows),
            *(sum(x for x, _ in rows), sum(y for _, y in rows)),
            *(sum(x * x for x, _ in rows), sum(x * y for x, y in rows), sum(y * y for _, y in rows)),
        )

    @classmethod
    def combine(cls, moments: Iterable[Moments]) -> Moments:
        """Add the moments of groups that share no listener."""
        parts = list(moments)
        return cls(*(sum(getattr(part, name) for part in parts) for name in ("n", "x", "y", "xx", "xy", "yy")))

    def rate(self, *, proportion: bool = False) -> RateEstimate:
        """Return Σx / Σy with its interval, which is clipped to 0..1 for a proportion."""
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
    """Return the share of successes in independent trials (Wilson, "Probable inference …", JASA 1927)."""
    if not trials:
        return RateEstimate()
    p, z2 = successes / trials, Z * Z / trials
    centre, half = p + z2 / 2, Z * sqrt(p * (1 - p) / trials + z2 / (4 * trials))
    return RateEstimate(p, max((centre - half) / (1 + z2), 0.0), min((centre + half) / (1 + z2), 1.0))
