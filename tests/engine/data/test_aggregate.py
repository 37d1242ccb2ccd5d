import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.data.aggregate import sort_into_groups
from engine.data.plays import Signal


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
