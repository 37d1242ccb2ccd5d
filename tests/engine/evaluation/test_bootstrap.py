import numpy as np
import pytest

from engine.evaluation.beyond_accuracy import coverage, exposure_counts
from engine.evaluation.bootstrap import draw_resamples, mean_intervals, statistic_intervals


def test_resamples_draw_as_many_users_as_there_are_with_replacement() -> None:
    counts = draw_resamples(200, seed=1, resamples=300)
    assert (counts.dtype, counts.shape) == (np.uint8, (300, 200))
    assert (counts.sum(axis=1) == 200).all()
    assert (counts == 0).mean() == pytest.approx(np.exp(-1), abs=0.01)
    assert np.array_equal(counts, draw_resamples(200, seed=1, resamples=300))
    assert not np.array_equal(counts, draw_resamples(200, seed=2, resamples=300))


def test_intervals_equal_those_of_resampling_by_index() -> None:
    rng = np.random.default_rng(5)
    values, counts = rng.exponential(size=50), draw_resamples(50, seed=3, resamples=200)
    means = [np.repeat(values, user_counts).mean() for user_counts in counts]
    interval = mean_intervals({"x": values}, counts)["x"]
    assert interval == pytest.approx((values.mean(), *np.quantile(means, (0.025, 0.975))))


def test_95_percent_of_the_intervals_contain_the_true_mean() -> None:
    rng = np.random.default_rng(11)
    values, counts = {str(i): rng.exponential(size=200) for i in range(300)}, draw_resamples(200, seed=4)
    contained = np.mean([low <= 1 <= high for _, low, high in mean_intervals(values, counts).values()])
    assert 0.90 <= contained <= 0.98


def test_four_times_the_users_halve_the_interval() -> None:
    rng = np.random.default_rng(12)
    few, many = (mean_intervals({"x": rng.random(n)}, draw_resamples(n, seed=5))["x"] for n in (1000, 4000))
    assert (many.high - many.low) / (few.high - few.low) == pytest.approx(0.5, abs=0.08)


def test_summing_users_in_blocks_does_not_change_the_interval() -> None:
    values, counts = np.random.default_rng(13).random(9000), draw_resamples(9000, seed=6, resamples=20)
    means = counts.astype(float) @ values / 9000
    assert mean_intervals({"x": values}, counts)["x"][1:] == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))))


def test_users_without_a_value_do_not_count() -> None:
    values, counts = np.array([1.0, np.nan, 3.0, np.nan]), draw_resamples(4, seed=7)
    defined_means = [np.nanmean(np.repeat(values, user_counts)) for user_counts in counts if user_counts[[0, 2]].any()]
    intervals = mean_intervals({"some": values, "all": np.ones(4), "none": np.full(4, np.nan)}, counts)
    assert intervals["some"] == pytest.approx((2, *np.quantile(defined_means, (0.025, 0.975))))
    assert intervals["all"] == (1, 1, 1)
    assert set(intervals) == {"some", "all"}


def test_the_interval_of_a_constant_has_no_width() -> None:
    assert mean_intervals({"x": np.zeros(30)}, draw_resamples(30, seed=8))["x"] == (0, 0, 0)


def test_the_interval_of_coverage_is_centred_although_resamples_cover_less() -> None:
    lists, played = np.random.default_rng(14).integers(0, 300, (60, 3)), np.ones(300, np.bool_)
    interval = statistic_intervals(
        lambda w: coverage(exposure_counts(lists, w, 300), played)[:, None], draw_resamples(60, 9, 50)
    )[0]
    assert interval.mean == pytest.approx(len(np.unique(lists)) / 300)
    assert interval.low < interval.mean < interval.high
    assert interval.high - interval.low < 0.15
