import numpy as np
import pytest

from engine.evaluation.beyond_accuracy import coverage, exposure_counts
from engine.evaluation.bootstrap import draw_resamples, mean_intervals, statistic_intervals


def test_a_resample_has_as_many_listeners_as_there_are_drawn_again_and_again() -> None:
    draws = draw_resamples(200, seed=1, resamples=300)
    assert (draws.dtype, draws.shape) == (np.uint8, (300, 200))
    assert (draws.sum(axis=1) == 200).all()
    assert (draws == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)
    assert np.array_equal(draws, draw_resamples(200, seed=1, resamples=300))
    assert not np.array_equal(draws, draw_resamples(200, seed=2, resamples=300))


def test_the_interval_is_that_of_resampling_by_index() -> None:
    rng = np.random.default_rng(5)
    values, draws = rng.exponential(size=50), draw_resamples(50, seed=3, resamples=200)
    means = [np.repeat(values, counts).mean() for counts in draws]
    interval = mean_intervals({"x": values}, draws)["x"]
    assert interval == pytest.approx((values.mean(), *np.quantile(means, (0.025, 0.975))))


def test_nineteen_of_twenty_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(11)
    values, draws = {str(i): rng.exponential(size=200) for i in range(300)}, draw_resamples(200, seed=4)
    held = np.mean([low <= 1 <= high for _, low, high in mean_intervals(values, draws).values()])
    assert 0.90 <= held <= 0.98


def test_four_times_the_listeners_halve_the_interval() -> None:
    rng = np.random.default_rng(12)
    few, many = (mean_intervals({"x": rng.random(n)}, draw_resamples(n, seed=5))["x"] for n in (1000, 4000))
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(0.5, abs=0.08)


def test_many_listeners_are_summed_in_blocks_to_the_same() -> None:
    values, draws = np.random.default_rng(13).random(9000), draw_resamples(9000, seed=6, resamples=20)
    means = draws.astype(float) @ values / 9000
    assert mean_intervals({"x": values}, draws)["x"][1:] == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))


def test_who_has_no_value_does_not_count() -> None:
    values, draws = np.array([1.0, np.nan, 3.0, np.nan]), draw_resamples(4, seed=7)
    counted = [np.nanmean(np.repeat(values, counts)) for counts in draws if counts[[0, 2]].any()]
    found = mean_intervals({"some": values, "all": np.ones(4), "none": np.full(4, np.nan)}, draws)
    assert found["some"] == pytest.approx((2, *np.quantile(counted, (0.025, 0.975))))
    assert found["all"] == (1, 1, 1)
    assert set(found) == {"some", "all"}


def test_a_difference_between_equals_is_exactly_nothing() -> None:
    assert mean_intervals({"x": np.zeros(30)}, draw_resamples(30, seed=8))["x"] == (0, 0, 0)


def test_the_interval_of_coverage_lies_around_it_though_resamples_cover_less() -> None:
    lists, played = np.random.default_rng(14).integers(0, 300, (60, 3)), np.ones(300, np.bool_)
    interval = statistic_intervals(
        lambda w: coverage(exposure_counts(lists, w, 300), played)[:, None], draw_resamples(60, 9, 50)
    )[0]
    assert interval.mean == pytest.approx(len(np.unique(lists)) / 300)
    assert interval.low < interval.mean < interval.high
    assert interval.high - interval.low < 0.15
