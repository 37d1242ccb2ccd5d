from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.data.confidence import ConfidenceWeights, confidence_matrix
from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.user_item_pairs import UserItemPairs, sort_into_groups


def test_plays_of_unknown_tracks_and_listeners_are_left_out() -> None:
    plays = Plays.from_rows([(1, 10, 1, True, 0), (1, 11, 1, True, 0), (2, 10, 1, True, 0)])
    pairs = UserItemPairs.from_plays(plays, IdMap.from_ids([1]), IdMap.from_ids([10]))
    assert confidence_matrix(pairs, (1, 1), ConfidenceWeights()).toarray().tolist() == [[4.0]]


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
    assert merged.oldest.tolist() == [10, 20, 30, 40]
    assert merged.newest.tolist() == [10, 20, 30, 50]
    assert len(UserItemPairs.merge(user[:0], track[:0], Plays.empty())) == 0


def test_rows_that_stand_for_several_interactions_begin_with_the_first_of_them() -> None:
    track, signal = np.array([7, 7, 9]), np.array([Signal.PLAY, Signal.LIKE, Signal.PLAY], np.int8)
    plays = Plays(
        np.zeros(3, int), track, np.array([3, 1, 2], np.float32), np.ones(3, bool), np.array([60, 50, 40]), signal
    )
    pairs = UserItemPairs.from_listener(plays, oldest=np.array([10, 50, 20]))
    assert (pairs.oldest.tolist(), pairs.newest.tolist()) == ([10, 20], [60, 40])
    of_plays = UserItemPairs.from_listener(plays.where(signal == Signal.PLAY), oldest=np.array([10, 20]))
    assert (of_plays.oldest.tolist(), of_plays.newest.tolist()) == ([10, 20], [60, 40])


def test_only_positive_pairs_are_learned_from() -> None:
    plays = Plays(
        np.array([1, 1, 1, 2]),
        np.array([10, 20, 30, 10]),
        np.ones(4, np.float32),
        np.zeros(4, bool),
        np.arange(4),
        np.array([Signal.PLAY, Signal.SKIP, Signal.DISLIKE, Signal.DISLIKE], np.int8),
    )
    pairs = UserItemPairs.from_plays(plays, IdMap.from_ids([1, 2]), IdMap.from_ids([10, 20, 30]))
    assert (pairs.user.tolist(), pairs.track.tolist()) == ([0], [0])


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([0, 0, 0, 1, 2, 4, 7]), st.integers(0, 5)), max_size=9),
    st.booleans(),
)
def test_the_shortcut_for_plain_histories_gives_the_same_as_merging(
    rows: list[tuple[int, int, int]], plays_only: bool
) -> None:
    track, signal, time = np.array(rows, np.int64).reshape(-1, 3).T
    signal = (signal * (not plays_only)).astype(np.int8)
    user_rows = np.zeros(len(rows), np.int64)
    plays = Plays(user_rows, track, (1 + time).astype(np.float32), time > 2, time, signal)
    pairs, merged = UserItemPairs.from_listener(plays), UserItemPairs.merge(user_rows, track, plays)
    for field in fields(UserItemPairs):
        column, expected = getattr(pairs, field.name), getattr(merged, field.name)
        np.testing.assert_array_equal(column, expected)
        assert column.dtype == expected.dtype, field.name


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 3), st.sampled_from(list(Signal))), max_size=40
    ),
    st.booleans(),
    st.sampled_from([1, 2**59]),
)
def test_interactions_are_sorted_by_user_track_and_time_for_any_row_numbers(
    rows: list[tuple[int, int, int, Signal]], by_time: bool, scale: int
) -> None:
    """Small row numbers are packed into one integer; those times `scale` do not fit."""
    rows = sorted(rows, key=lambda row: row[2]) if by_time else rows
    user, track, time, _ = np.array(rows, np.int64).reshape(-1, 4).T
    expected = np.lexsort((time, track, user))
    order, is_start = sort_into_groups(user * scale, track, time)
    np.testing.assert_array_equal(order, expected)
    pairs = list(zip(user[order].tolist(), track[order].tolist(), strict=True))
    assert is_start.tolist() == [n == 0 or pairs[n] != pairs[n - 1] for n in range(len(pairs))]
