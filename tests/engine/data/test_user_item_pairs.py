from collections.abc import Callable
from dataclasses import fields
from math import log, log1p
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.aggregate import sort_into_groups
from engine.data.confidence import DAY_SECONDS, ConfidenceWeights, PlayStatistics, confidence_matrix
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs, count_listeners

NEWEST = 100 * DAY_SECONDS
# listener, track, plays, qualified, liked, day
HEARD = [
    (0, 0, 3, True, False, 100),
    (0, 1, 1, False, False, 70),
    (0, 2, 40, True, True, 40),
    (1, 0, 8, False, True, 10),
]


def pairs() -> UserItemPairs:
    user, track, count, qualified, liked, day = (np.array(column) for column in zip(*HEARD, strict=True))
    no = np.zeros(len(user), bool)
    return UserItemPairs(user, track, qualified, count.astype(np.float32), day * DAY_SECONDS, liked, no, no, no, no)


def test_confidence_is_the_base_plus_a_bonus_once_any_play_qualified() -> None:
    plays = Plays.from_rows(
        [(1, 10, 1, False, 0), (1, 10, 1, True, 1), (1, 10, 1, False, 2), (1, 20, 1, False, 3), (2, 20, 99, True, 4)]
    )
    found = UserItemPairs.from_plays(plays, IdMap.from_ids([1, 2]), IdMap.from_ids([10, 20, 30]))
    matrix = confidence_matrix(found, (2, 3), ConfidenceWeights(1.0, 3.0))
    assert matrix.toarray().tolist() == [[4.0, 1.0, 0.0], [0.0, 4.0, 0.0]]
    assert matrix.dtype == np.float32


def test_plays_of_unknown_tracks_and_listeners_are_left_out() -> None:
    plays = Plays.from_rows([(1, 10, 1, True, 0), (1, 11, 1, True, 0), (2, 10, 1, True, 0)])
    found = UserItemPairs.from_plays(plays, IdMap.from_ids([1]), IdMap.from_ids([10]))
    assert confidence_matrix(found, (1, 1), ConfidenceWeights()).toarray().tolist() == [[4.0]]


def test_several_plays_of_a_track_by_a_listener_become_one_pair() -> None:
    user, track = np.array([1, 0, 1, 1, 0]), np.array([7, 3, 7, 3, 9])
    plays = Plays(
        user=np.full(5, -1),
        track=np.full(5, -1),
        count=np.array([2, 1, 5, 1, 1], np.float32),
        qualified=np.array([0, 0, 1, 0, 0], bool),
        time=np.array([50, 10, 40, 30, 20]),
        signal=np.zeros(5, np.int8),
    )
    merged = UserItemPairs.merge(user, track, plays)
    assert list(zip(merged.user.tolist(), merged.track.tolist(), strict=True)) == [(0, 3), (0, 9), (1, 3), (1, 7)]
    assert merged.count.tolist() == [1, 1, 1, 7]
    assert merged.qualified.tolist() == [False, False, False, True]
    assert merged.newest.tolist() == [10, 20, 30, 50]
    assert len(UserItemPairs.merge(user[:0], track[:0], Plays.empty())) == 0


def bm25(count: float, total: float, k1: float, b: float) -> float:
    return count * (k1 + 1) / (count + k1 * (1 - b + b * total / 26))  # two listeners, 52 plays


@pytest.mark.parametrize(
    ("how", "amounts"),
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
def test_what_plays_add_is_as_written_out_by_hand(how: dict[str, Any], amounts: list[float]) -> None:
    """A like takes the place of the bonus, for one need not tell twice."""
    confidence = ConfidenceWeights(base=1, bonus=2, liked=5, scale=0.5, **how)
    written_out = [base + 0.5 * amount for base, amount in zip((3, 1, 6, 6), amounts, strict=True)]
    found = confidence.compute(pairs(), count_listeners(pairs(), 3), PlayStatistics.from_pairs(pairs()))
    np.testing.assert_allclose(found, written_out, rtol=1e-6)
    assert found.dtype == np.float32


def test_a_play_fades_to_a_tenth_by_half_of_the_way_in_every_half_life() -> None:
    confidence = ConfidenceWeights(base=1, bonus=0, liked=0, half_life=30)
    found = confidence.compute(pairs(), count_listeners(pairs(), 3), PlayStatistics.from_pairs(pairs()))
    np.testing.assert_allclose(found, [0.1 + 0.9 * left for left in (1, 1 / 2, 1 / 4, 1 / 8)], rtol=1e-6)
    later = confidence.compute(pairs(), count_listeners(pairs(), 3), PlayStatistics(newest=70 * DAY_SECONDS))
    np.testing.assert_allclose(
        later, [0.1 + 0.9 * left for left in (1, 1, 1 / 2, 1 / 4)], rtol=1e-6
    )  # newer than the model is as good as new


def test_what_few_play_says_more_of_a_listener() -> None:
    confidence = ConfidenceWeights(base=2, bonus=0, liked=0, rare=True)
    found = confidence.compute(pairs(), np.array([50, 5, 0], np.float32), PlayStatistics(users=100))
    rarity = [log(1 + 100 / 50), log(1 + 100 / 5), log(1 + 100 / 1), log(1 + 100 / 50)]
    np.testing.assert_allclose(found, [2 * r for r in rarity], rtol=1e-6)


def test_statistics_are_of_listeners_with_plays() -> None:
    assert PlayStatistics.from_pairs(pairs()) == PlayStatistics(users=2, plays=26.0, pairs=2.0, newest=NEWEST)
    assert (
        PlayStatistics.from_pairs(UserItemPairs.merge(np.zeros(0, int), np.zeros(0, int), Plays.empty()))
        == PlayStatistics()
    )


@pytest.mark.parametrize("transform", ["none", "log", "capped", "bm25"])
def test_every_confidence_is_above_zero_however_old(transform: str) -> None:
    confidence = ConfidenceWeights(transform=transform, half_life=0.001, rare=True)
    matrix = confidence_matrix(pairs(), (3, 4), confidence)
    assert (matrix.data > 0).all()
    assert matrix.nnz == len(HEARD)
    empty = UserItemPairs.merge(np.zeros(0, int), np.zeros(0, int), Plays.empty())
    assert confidence_matrix(empty, (3, 4), confidence).nnz == 0


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ConfidenceWeights(transform="cube"), "transform: 'cube' is not one of none, log, capped, bm25"),
        (lambda: ConfidenceWeights(base=0), "base: must be above 0"),
        (lambda: ConfidenceWeights(half_life=-1), "half_life: must not be below 0"),
        (lambda: ConfidenceWeights(transform="capped", cap=0), "cap"),
        (lambda: ConfidenceWeights(base=float("nan")), "base"),
    ],
)
def test_what_is_out_of_range_is_named(make: Callable[[], ConfidenceWeights], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_the_same_plays_have_the_same_fingerprint_and_others_another() -> None:
    rows = [(1, 10, 1, True, 0), (2, 11, 3, False, 5)]
    one, same, other = (Plays.from_rows(r) for r in (rows, rows, [*rows[:1], (2, 11, 4, False, 5)]))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert Plays.concatenate([one.where(one.user == 1), one.where(one.user == 2)]).fingerprint() == one.fingerprint()


P, K, L, U, D, N, S, A, R = (Signal(n) for n in range(9))


def past(*said: tuple[int, Signal]) -> UserItemPairs:
    """One listener and track 7: what was said, at which second, in this order."""
    k = len(said)
    time, signal = np.array([s[0] for s in said]), np.array([s[1] for s in said], np.int8)
    ones = np.ones(k, np.float32)
    return UserItemPairs.from_listener(Plays(np.zeros(k, int), np.full(k, 7), ones, np.ones(k, bool), time, signal))


@pytest.mark.parametrize(
    ("said", "confidence"),
    [
        ([(1, P)], 1 + 3),
        ([(1, P), (2, L)], 1 + 5),
        ([(1, L)], 1 + 5),
        ([(1, L), (2, U)], 0),
        ([(2, U), (1, L)], 0),  # what comes late from a phone without a net does not undo what is newer
        ([(1, L), (1, U)], 0),
        ([(1, U), (1, L)], 1 + 5),
        ([(1, P), (2, L), (3, U)], 1 + 3),
        ([(1, P), (2, D)], -4),
        ([(1, D), (2, P)], -4),
        ([(1, L), (2, D)], -4),
        ([(1, D), (2, L)], 1 + 5),
        ([(1, D), (2, N)], 0),
        ([(1, D), (2, N), (3, P)], 1 + 3),
        ([(1, K)], -0.5),
        ([(1, K), (2, K)], -0.5),
        ([(1, K), (2, P)], 1 + 3 - 0.5),
        ([(1, A)], 1 + 2),
        ([(1, A), (2, R)], 0),
        ([(1, P), (2, S), (3, A)], 1 + 3 + 1.5 + 2),
    ],
)
def test_confidence_is_what_was_said_last(said: list[tuple[int, Signal]], confidence: float) -> None:
    weights = ConfidenceWeights(base=1, bonus=3, liked=5, added=2, shared=1.5, skipped=0.5, disliked=4)
    pairs = past(*said)
    found = weights.compute(pairs, np.ones(8, np.float32), PlayStatistics())
    assert found.tolist() == [confidence]
    assert (pairs.is_positive.tolist(), pairs.is_negative.tolist()) == ([confidence > 0], [confidence < 0])


def test_only_what_is_wanted_is_learnt() -> None:
    plays = Plays(
        np.array([1, 1, 1, 2]),
        np.array([10, 20, 30, 10]),
        np.ones(4, np.float32),
        np.zeros(4, bool),
        np.arange(4),
        np.array([P, K, D, D], np.int8),
    )
    found = UserItemPairs.from_plays(plays, IdMap.from_ids([1, 2]), IdMap.from_ids([10, 20, 30]))
    assert (found.user.tolist(), found.track.tolist()) == ([0], [0])


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 3), st.sampled_from(list(Signal))), max_size=40
    ),
    st.booleans(),
    st.sampled_from([1, 2**59]),
)
def test_rows_are_put_in_order_by_listener_track_and_time_whatever_their_numbers(
    rows: list[tuple[int, int, int, Signal]], by_time: bool, scale: int
) -> None:
    rows = sorted(rows, key=lambda row: row[2]) if by_time else rows
    user, track, time, _ = np.array(rows, np.int64).reshape(-1, 4).T
    expected = np.lexsort((time, track, user))
    order, begins = sort_into_groups(user * scale, track, time)
    np.testing.assert_array_equal(order, expected)
    pairs = list(zip(user[order].tolist(), track[order].tolist(), strict=True))
    assert begins.tolist() == [n == 0 or pairs[n] != pairs[n - 1] for n in range(len(pairs))]


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0, 0, 0, 1, 2, 4, 7]), st.integers(0, 5)), max_size=9),
    st.booleans(),
)
def test_plays_each_of_another_track_are_merged_as_any_others(rows: list[tuple[int, int, int]], only: bool) -> None:
    track, signal, time = np.array(rows, np.int64).reshape(-1, 3).T
    signal = (signal * (not only)).astype(np.int8)
    nobody = np.zeros(len(rows), np.int64)
    plays = Plays(nobody, track, (1 + time).astype(np.float32), time > 2, time, signal)
    found, merged = UserItemPairs.from_listener(plays), UserItemPairs.merge(nobody, track, plays)
    for field in fields(UserItemPairs):
        one, other = getattr(found, field.name), getattr(merged, field.name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype, field.name
