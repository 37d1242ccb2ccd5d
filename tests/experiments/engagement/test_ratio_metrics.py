import random
from math import sqrt

import pytest

from experiments.engagement.ratio_metrics import Moments, RateEstimate, wilson_interval

pytestmark = pytest.mark.one_stack


def moments(pairs: list[tuple[float, float]]) -> Moments:
    return Moments.from_pairs(pairs)


def clicks(chance: random.Random, listeners: int = 200) -> list[tuple[float, float]]:
    """Return clicks and impressions of listeners with different rates, higher for active ones; 0.1 overall."""
    found = []
    for _ in range(listeners):
        keen = chance.random() < 0.2
        seen = 60 if keen else 10
        own = chance.betavariate(2, 10) if keen else chance.betavariate(0.4, 12)
        found.append((float(sum(chance.random() < own for _ in range(seen))), float(seen)))
    return found


def test_intervals_cover_the_truth_in_95_percent_of_trials_and_binomial_ones_do_not() -> None:
    chance, trials, ours, binomial = random.Random(4), 400, 0, 0
    truth = (0.2 * 60 * 2 / 12 + 0.8 * 10 * 0.4 / 12.4) / (0.2 * 60 + 0.8 * 10)
    for _ in range(trials):
        found = moments(clicks(chance))
        rate = found.rate(proportion=True)
        assert rate.value is not None and rate.low is not None and rate.high is not None  # noqa: PT018
        ours += rate.low <= truth <= rate.high
        half = 1.96 * sqrt(rate.value * (1 - rate.value) / found.y)
        binomial += abs(rate.value - truth) <= half
    assert 0.92 <= ours / trials <= 0.98
    assert binomial / trials < 0.85


def test_combined_moments_are_those_of_all_listeners() -> None:
    chance = random.Random(1)
    one, other = clicks(chance), clicks(chance)
    assert Moments.combine([moments(one), moments(other)]) == moments(one + other)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], RateEstimate()),
        ([(0.0, 0.0)], RateEstimate()),
        ([(1.0, 4.0)], RateEstimate(0.25)),
        ([(0.0, 2.0), (2.0, 2.0)], RateEstimate(0.5, 0.0, 1.0)),
    ],
)
def test_edge_cases_of_a_rate(pairs: list[tuple[float, float]], expected: RateEstimate) -> None:
    assert moments(pairs).rate(proportion=True) == expected


def test_identical_listeners_still_get_an_interval() -> None:
    assert moments([(0.0, 10.0)] * 20).rate(proportion=True) == wilson_interval(0, 20)
    assert moments([(7.0, 10.0)] * 20).rate(proportion=True) == wilson_interval(14, 20)
    assert moments([(5.0, 10.0)] * 20).rate() == RateEstimate(0.5, 0.5, 0.5)


def test_the_wilson_interval_matches_the_literature() -> None:
    """Brown, Cai & DasGupta, "Interval Estimation for a Binomial Proportion" (2001), by their formula."""
    found = wilson_interval(4, 10)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.16818, 0.68733), abs=1e-4)
    assert wilson_interval(0, 0) == RateEstimate()
    assert wilson_interval(0, 20).low == 0
