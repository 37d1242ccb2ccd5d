from collections.abc import Callable
from dataclasses import fields, replace
from math import log, log1p
from typing import Any

import numpy as np
import pytest

from engine.data.confidence import (
    DAY_SECONDS,
    HOUR_SECONDS,
    TRANSFORMS,
    ConfidenceWeights,
    PlayStatistics,
    base_level_activation,
    confidence_matrix,
    recency,
)
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs, count_listeners

NEWEST = 100 * DAY_SECONDS
# user, track, plays, qualified, liked, day
PAIRS = [
    (0, 0, 3, True, False, 100),
    (0, 1, 1, False, False, 70),
    (0, 2, 40, True, True, 40),
    (1, 0, 8, False, True, 10),
]
PLAY, SKIP, LIKE, UNLIKE, DISLIKE, UNDISLIKE, SHARE, ADD, REMOVE = Signal


def some_pairs() -> UserItemPairs:
    user, track, count, qualified, liked, day = (np.array(column) for column in zip(*PAIRS, strict=True))
    no = np.zeros(len(user), bool)
    time = day * DAY_SECONDS
    return UserItemPairs(user, track, qualified, count.astype(np.float32), time, time, liked, no, no, no, no)


def no_pairs() -> UserItemPairs:
    return UserItemPairs.merge(np.zeros(0, int), np.zeros(0, int), Plays.empty())


def compute(confidence: ConfidenceWeights, statistics: PlayStatistics | None = None) -> np.ndarray:
    """Return the confidences of `some_pairs`, with their own statistics by default."""
    pairs = some_pairs()
    return confidence.compute(pairs, count_listeners(pairs, 3), statistics or PlayStatistics.from_pairs(pairs))


def test_confidence_is_the_base_plus_a_bonus_once_any_play_qualified() -> None:
    plays = Plays.from_rows(
        [(1, 10, 1, False, 0), (1, 10, 1, True, 1), (1, 10, 1, False, 2), (1, 20, 1, False, 3), (2, 20, 99, True, 4)]
    )
    pairs = UserItemPairs.from_plays(plays, IdMap.from_ids([1, 2]), IdMap.from_ids([10, 20, 30]))
    matrix = confidence_matrix(pairs, (2, 3), ConfidenceWeights(1.0, 3.0))
    assert matrix.toarray().tolist() == [[4.0, 1.0, 0.0], [0.0, 4.0, 0.0]]
    assert matrix.dtype == np.float32


def bm25(count: float, total: float, k1: float, b: float) -> float:
    return count * (k1 + 1) / (count + k1 * (1 - b + b * total / 26))  # two listeners with 52 plays


@pytest.mark.parametrize(
    ("options", "transformed_counts"),
    [
        ({"transform": "none"}, [0, 0, 0, 0]),
        ({"transform": "log"}, [log1p(3), log1p(1), log1p(40), log1p(8)]),
        ({"transform": "capped", "cap": 10.0}, [0.3, 0.1, 1, 0.8]),
        ({"transform": "bm25"}, [bm25(n, t, 1.2, 0.75) for n, t in ((3, 44), (1, 44), (40, 44), (8, 8))]),
        (
            {"transform": "bm25", "k1": 2.0, "b": 0.1},
            [bm25(n, t, 2, 0.1) for n, t in ((3, 44), (1, 44), (40, 44), (8, 8))],
        ),
    ],
)
def test_transformed_play_counts_are_added(options: dict[str, Any], transformed_counts: list[float]) -> None:
    """Also shows that a like replaces the bonus of a qualified play."""
    confidence = ConfidenceWeights(base=1, bonus=2, liked=5, scale=0.5, **options)
    expected = [base + 0.5 * count for base, count in zip((3, 1, 6, 6), transformed_counts, strict=True)]
    values = compute(confidence)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert values.dtype == np.float32


def test_confidence_decays_towards_a_tenth_by_half_in_every_half_life() -> None:
    confidence = ConfidenceWeights(base=1, bonus=0, liked=0, half_life=30)
    np.testing.assert_allclose(
        compute(confidence), [0.1 + 0.9 * share for share in (1, 1 / 2, 1 / 4, 1 / 8)], rtol=1e-6
    )


def test_interactions_newer_than_the_model_do_not_decay() -> None:
    confidence = ConfidenceWeights(base=1, bonus=0, liked=0, half_life=30)
    values = compute(confidence, PlayStatistics(newest=70 * DAY_SECONDS))
    np.testing.assert_allclose(values, [0.1 + 0.9 * share for share in (1, 1, 1 / 2, 1 / 4)], rtol=1e-6)


def pairs_of_plays(hours_ago: list[list[float]], latest: int = NEWEST) -> UserItemPairs:
    """Return the pairs of one listener who played track i so many hours before `latest`."""
    rows = [(1, i, 1, True, latest - int(h * HOUR_SECONDS)) for i, ages in enumerate(hours_ago) for h in ages]
    return UserItemPairs.from_listener(Plays.from_rows(rows))


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0, 1.7])
def test_the_activation_of_one_or_two_plays_is_the_exact_sum_of_their_powers(exponent: float) -> None:
    values = base_level_activation(pairs_of_plays([[0], [50], [3, 700], [24, 24]]), exponent)
    expected = [1, 50**-exponent, 3**-exponent + 700**-exponent, 2 * 24**-exponent]  # no age is below an hour
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_the_activation_of_many_plays_is_close_to_their_exact_sum(exponent: float) -> None:
    rng = np.random.default_rng(4)
    ages = [sorted(rng.uniform(2, 2_000, rng.integers(3, 60))) for _ in range(200)]
    exact = [sum(hours**-exponent for hours in track) for track in ages]
    values = base_level_activation(pairs_of_plays([[0], *ages]), exponent)[1:]
    errors = values / exact - 1
    assert abs(errors.mean()) < 0.05
    assert np.abs(errors).mean() < 0.15


def test_an_imported_total_counts_as_so_many_plays_at_its_time() -> None:
    rows = [(1, 5, 1, True, NEWEST), (1, 6, 30, False, NEWEST - 9 * HOUR_SECONDS), (1, 7, 2, False, NEWEST)]
    values = base_level_activation(UserItemPairs.from_listener(Plays.from_rows(rows)), 0.5)
    np.testing.assert_allclose(values, [1, 30 / 3, 2])


def test_activation_does_not_depend_on_the_clock_or_on_other_listeners() -> None:
    ages = [[0.0], [5, 60, 200], [30]]
    early, late = pairs_of_plays(ages), pairs_of_plays(ages, NEWEST + 90 * DAY_SECONDS)
    both = UserItemPairs(*(np.concatenate([getattr(p, f.name) for p in (early, late)]) for f in fields(UserItemPairs)))
    user = np.repeat([0, 1], 3)
    values = base_level_activation(replace(both, user=user), 0.5)
    assert values[:3].tolist() == values[3:].tolist() == base_level_activation(early, 0.5).tolist()


def test_what_a_listener_dislikes_does_not_age_the_other_tracks() -> None:
    signals = np.array([PLAY, PLAY, DISLIKE], np.int8)
    time = NEWEST + HOUR_SECONDS * np.array([-4, 0, 5000])
    plays = Plays(np.zeros(3, int), np.arange(3), np.ones(3, np.float32), np.ones(3, bool), time, signals)
    np.testing.assert_allclose(base_level_activation(UserItemPairs.from_listener(plays), 0.5), [0.5, 1, 0])


def test_recency_falls_with_the_time_until_the_newest_track_beyond_five_minutes() -> None:
    pairs = pairs_of_plays([[0], [3 / 60], [20 / 60, 90], [5]])
    np.testing.assert_allclose(recency(pairs, 0.5), [1, 1, 4**-0.5, 60**-0.5], rtol=1e-6)
    assert recency(pairs, 0.0).tolist() == [1, 1, 1, 1]
    assert recency(pairs, 0.5).dtype == np.float32


def test_activation_is_one_of_the_functions_of_the_plays() -> None:
    pairs = pairs_of_plays([[0], [16], [4, 4]])
    confidence = ConfidenceWeights(base=1, bonus=0, transform="activation", scale=2, activation_decay=0.5)
    values = confidence.compute(pairs, np.ones(3, np.float32), PlayStatistics())
    np.testing.assert_allclose(values, [1 + 2 * 1, 1 + 2 * 0.25, 1 + 2 * 1])


def test_tracks_with_few_listeners_have_a_higher_confidence() -> None:
    confidence = ConfidenceWeights(base=2, bonus=0, liked=0, rare=True)
    values = confidence.compute(some_pairs(), np.array([50, 5, 0], np.float32), PlayStatistics(users=100))
    rarity = [log(1 + 100 / 50), log(1 + 100 / 5), log(1 + 100 / 1), log(1 + 100 / 50)]
    np.testing.assert_allclose(values, [2 * r for r in rarity], rtol=1e-6)


def test_statistics_are_means_over_listeners_with_plays() -> None:
    assert PlayStatistics.from_pairs(some_pairs()) == PlayStatistics(users=2, plays=26.0, pairs=2.0, newest=NEWEST)
    assert PlayStatistics.from_pairs(no_pairs()) == PlayStatistics()


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_positive_pair_has_a_confidence_above_zero_at_any_age(transform: str) -> None:
    confidence = ConfidenceWeights(transform=transform, half_life=0.001, rare=True)
    matrix = confidence_matrix(some_pairs(), (3, 4), confidence)
    assert (matrix.data > 0).all()
    assert matrix.nnz == len(PAIRS)
    assert confidence_matrix(no_pairs(), (3, 4), confidence).nnz == 0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: ConfidenceWeights(transform="cube"),
            "transform: 'cube' is not one of none, log, capped, bm25, activation",
        ),
        (lambda: ConfidenceWeights(base=0), "base: must be above 0"),
        (lambda: ConfidenceWeights(half_life=-1), "half_life: must be 0 or above"),
        (lambda: ConfidenceWeights(transform="capped", cap=0), "cap"),
        (lambda: ConfidenceWeights(base=float("nan")), "base"),
        (lambda: ConfidenceWeights(activation_decay=0), "activation_decay: must be above 0"),
    ],
)
def test_it_names_a_weight_that_is_out_of_range(build: Callable[[], ConfidenceWeights], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ([(1, PLAY)], 1 + 3),
        ([(1, PLAY), (2, LIKE)], 1 + 5),
        ([(1, LIKE)], 1 + 5),
        ([(1, LIKE), (2, UNLIKE)], 0),
        ([(2, UNLIKE), (1, LIKE)], 0),  # an event that arrives late does not undo a newer one
        ([(1, LIKE), (1, UNLIKE)], 0),
        ([(1, UNLIKE), (1, LIKE)], 1 + 5),
        ([(1, PLAY), (2, LIKE), (3, UNLIKE)], 1 + 3),
        ([(1, PLAY), (2, DISLIKE)], -4),
        ([(1, DISLIKE), (2, PLAY)], -4),
        ([(1, LIKE), (2, DISLIKE)], -4),
        ([(1, DISLIKE), (2, LIKE)], 1 + 5),
        ([(1, DISLIKE), (2, UNDISLIKE)], 0),
        ([(1, DISLIKE), (2, UNDISLIKE), (3, PLAY)], 1 + 3),
        ([(1, SKIP)], -0.5),
        ([(1, SKIP), (2, SKIP)], -0.5),
        ([(1, SKIP), (2, PLAY)], 1 + 3 - 0.5),
        ([(1, ADD)], 1 + 2),
        ([(1, ADD), (2, REMOVE)], 0),
        ([(1, PLAY), (2, SHARE), (3, ADD)], 1 + 3 + 1.5 + 2),
    ],
)
def test_the_newest_opinion_decides(signals: list[tuple[int, Signal]], expected: float) -> None:
    """The signals of one listener about track 7 are given as (second, signal), in order of arrival."""
    k = len(signals)
    time, signal = np.array([s[0] for s in signals]), np.array([s[1] for s in signals], np.int8)
    plays = Plays(np.zeros(k, int), np.full(k, 7), np.ones(k, np.float32), np.ones(k, bool), time, signal)
    pairs = UserItemPairs.from_listener(plays)
    weights = ConfidenceWeights(base=1, bonus=3, liked=5, added=2, shared=1.5, skipped=0.5, disliked=4)
    values = weights.compute(pairs, np.ones(8, np.float32), PlayStatistics())
    assert values.tolist() == [expected]
    assert (pairs.is_positive.tolist(), pairs.is_negative.tolist()) == ([expected > 0], [expected < 0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("name", [name for name, v in ConfidenceWeights().to_dict().items() if type(v) is float])
def test_a_weight_that_is_not_finite_or_absurdly_large_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name}: must be"):
        ConfidenceWeights(**{name: value})
