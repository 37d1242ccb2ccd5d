import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.data.id_map import IdMap

ids = st.lists(st.integers(0, 2**63 - 1), max_size=30)


@given(ids, ids)
def test_rows_and_row_agree_on_known_and_unknown(stored: list[int], asked: list[int]) -> None:
    mapping = IdMap.from_ids(stored)
    rows, known = mapping.rows(asked + stored)
    for outside_id, row, is_known in zip(asked + stored, rows, known, strict=True):
        assert is_known == (outside_id in stored)
        assert mapping.row(outside_id) == (row if is_known else None)
        assert not is_known or mapping.ids[row] == outside_id


def test_an_id_too_big_for_a_database_is_unknown() -> None:
    assert IdMap.from_ids([1, 2]).row(10**30) is None
    assert IdMap.from_ids([1, 2]).row(-1) is None


def test_known_rows_leave_out_the_unknown_and_keep_the_order() -> None:
    assert IdMap.from_ids([10, 30, 20]).known_rows(np.array([30, 99, 10])).tolist() == [2, 0]


@given(
    st.lists(st.integers(-5, 70_000), max_size=60),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 70_000), max_size=80),
)
def test_a_table_finds_what_a_search_finds(ids: list[int], wanted: list[int]) -> None:
    known = IdMap.from_ids(ids)
    assert known.ids.tolist() == sorted(set(ids))
    rows, found = known.rows(wanted)
    assert found.tolist() == [i in set(ids) for i in wanted]
    assert [known.ids[row] for row, there in zip(rows, found, strict=True) if there] == [
        i for i in wanted if i in set(ids)
    ]
    assert not rows[~found].any()
