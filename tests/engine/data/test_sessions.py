from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.id_map import IdMap
from engine.data.plays import Plays, Signal
from engine.data.sessions import SESSION_GAP_SECONDS, Sessions, current_session, sessions_from_plays

ITEMS = IdMap.from_ids([10, 11, 12, 13])
USERS = IdMap.from_ids([1, 2])


def plays_of(*rows: tuple[int, int, int]) -> Plays:
    """Return complete plays of `(user, track, time)`."""
    return Plays.from_rows((user, track, 1, True, time) for user, track, time in rows)


def as_lists(sessions: Sessions) -> list[list[int]]:
    return [part.tolist() for part in np.split(sessions.items, sessions.offsets[1:-1])] if len(sessions) else []


def test_plays_are_cut_where_a_listener_paused_and_ordered_by_their_ends() -> None:
    plays = plays_of((2, 13, 5_000), (1, 10, 0), (1, 12, 4_000), (1, 11, 1_800), (2, 12, 3_300), (1, 13, 3_601))
    sessions = sessions_from_plays(plays, ITEMS, users=USERS)
    assert as_lists(sessions) == [[0, 1], [3, 2], [2, 3]]
    assert sessions.ended_at.tolist() == [1_800, 4_000, 5_000]
    assert sessions.user.tolist() == [0, 0, 1]
    assert (sessions.items.dtype, sessions.offsets.dtype, sessions.ended_at.dtype) == (np.int32, np.int64, np.int64)
    assert as_lists(sessions_from_plays(plays, ITEMS, gap_seconds=60)) == [[0], [1], [2], [3], [2], [3]]


def test_the_listeners_of_sessions_are_unknown_without_their_rows() -> None:
    plays = plays_of((1, 10, 0), (9, 11, 1))
    assert sessions_from_plays(plays, ITEMS).user.tolist() == [-1, -1]
    assert sessions_from_plays(plays, ITEMS, users=USERS).user.tolist() == [0, -1]


def test_only_single_plays_count() -> None:
    plays = plays_of((1, 10, 0), (1, 11, 60), (1, 12, 120), (1, 13, 180))
    plays.count[1], plays.signal[2] = 5, Signal.SKIP
    assert as_lists(sessions_from_plays(plays, ITEMS)) == [[0, 3]]


def test_a_shuffled_play_is_left_out_and_ends_the_session() -> None:
    plays = plays_of((1, 10, 0), (1, 11, 60), (1, 12, 120), (1, 13, 180))
    plays = replace(plays, shuffled=np.array([False, True, False, False]))
    assert as_lists(sessions_from_plays(plays, ITEMS)) == [[0], [2, 3]]


def test_plays_of_one_second_have_no_order() -> None:
    plays = plays_of((1, 10, 0), (1, 11, 0), (1, 12, 60))
    assert as_lists(sessions_from_plays(plays, ITEMS)) == [[0], [1, 2]]


def test_tracks_that_are_no_items_are_skipped_over() -> None:
    plays = plays_of((1, 10, 0), (1, 99, 60), (1, 12, 120), (2, 99, 0))
    assert as_lists(sessions_from_plays(plays, ITEMS)) == [[0, 2]]


@pytest.mark.parametrize("plays", [Plays.empty(), plays_of((1, 99, 0))])
def test_there_are_no_sessions_without_plays_of_items(plays: Plays) -> None:
    sessions = sessions_from_plays(plays, ITEMS)
    assert (len(sessions), sessions.offsets.tolist(), as_lists(sessions)) == (0, [0], [])


def test_sessions_are_selected_by_age_and_length() -> None:
    plays = plays_of(*((1, 10 + i % 4, 10_000 * (i // 3) + 60 * i) for i in range(9)), (2, 10, 90_000))
    sessions = sessions_from_plays(plays, ITEMS)
    assert as_lists(sessions) == [[0, 1, 2], [3, 0, 1], [2, 3, 0], [0]]
    past, newest = sessions.split_newest(0.25)
    assert (as_lists(past), as_lists(newest)) == ([[0, 1, 2], [3, 0, 1], [2, 3, 0]], [[0]])
    assert newest.ended_at.tolist() == [90_000]
    assert as_lists(sessions.where_longer_than(1)) == as_lists(past)
    assert as_lists(sessions.newest(5)) == [[2, 3, 0], [0]]
    assert as_lists(sessions.newest(10)) == as_lists(sessions)
    assert sessions.session_of_play.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_plays_are_not_shuffled_by_default_and_keep_the_flag() -> None:
    plays = plays_of((1, 10, 0), (1, 11, 60))
    assert plays.shuffled.tolist() == [False, False]
    shuffled = replace(plays, shuffled=np.array([True, False]))
    assert shuffled.where(np.array([1, 0])).shuffled.tolist() == [False, True]
    assert Plays.concatenate([plays, shuffled]).shuffled.tolist() == [False, False, True, False]
    assert plays.fingerprint() != shuffled.fingerprint()


def test_the_current_session_lasts_until_the_listener_has_paused() -> None:
    newest_first = [(12, 5_000, False), (11, 3_300, False), (10, 1_400, False)]
    assert current_session(newest_first, 5_000) == [11, 12]
    assert current_session(newest_first, 5_000 + SESSION_GAP_SECONDS) == [11, 12]
    assert current_session(newest_first, 5_001 + SESSION_GAP_SECONDS) == []
    assert current_session([], 5_000) == []
    assert current_session([(12, 5_000, True), (11, 4_900, False)], 5_001) == []


@given(st.lists(st.tuples(st.sampled_from([0, 1, 60, 1_800, 1_801]), st.booleans()), max_size=12))
def test_the_current_session_is_the_latest_one_that_training_would_cut(plays: list[tuple[int, bool]]) -> None:
    times = np.cumsum([pause for pause, _ in plays], dtype=np.int64)
    shuffled = np.array([is_shuffled for _, is_shuffled in plays], np.bool_)
    rows = plays_of(*((1, 10 + n % 4, int(time)) for n, time in enumerate(times)))
    newest_first = [(10 + n % 4, int(times[n]), bool(shuffled[n])) for n in reversed(range(len(plays)))]
    current = current_session(newest_first, int(times[-1]) if len(plays) else 0)
    sessions = as_lists(sessions_from_plays(replace(rows, shuffled=shuffled), ITEMS))
    assert [track - 10 for track in current] == ([] if not len(plays) or shuffled[-1] else sessions[-1])
