import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.data.id_map import IdMap

some_ids = st.lists(st.integers(0, 2**63 - 1), max_size=30)


@given(some_ids, some_ids)
def test_rows_and_row_agree_about_known_and_unknown_ids(stored: list[int], others: list[int]) -> None:
    mapping, requested = IdMap.from_ids(stored), others + stored
    rows, known = mapping.rows(requested)
    for id_, row, is_known in zip(requested, rows, known, strict=True):
        assert is_known == (id_ in stored)
        assert mapping.row(id_) == (row if is_known else None)
        assert not is_known or mapping.ids[row] == id_


def test_an_id_that_is_no_database_key_is_unknown() -> None:
    assert IdMap.from_ids([1, 2]).row(10**30) is None
    assert IdMap.from_ids([1, 2]).row(-1) is None


@given(some_ids, some_ids, some_ids)
def test_an_extended_map_keeps_the_first_rows_and_knows_further_ids(
    stored: list[int], further: list[int], others: list[int]
) -> None:
    mapping = IdMap.from_ids(stored)
    extended = mapping.extend([id_ for id_ in further if id_ not in stored])
    assert extended.ids[: len(mapping)].tolist() == mapping.ids.tolist()
    requested = [*stored, *further, *others]
    rows, known = extended.rows(requested)
    for id_, row, is_known in zip(requested, rows, known, strict=True):
        assert is_known == (id_ in stored or id_ in further)
        assert extended.row(id_) == (row if is_known else None)
        assert not is_known or extended.ids[row] == id_


def test_known_rows_are_in_the_order_of_the_ids() -> None:
    assert IdMap.from_ids([10, 30, 20]).known_rows(np.array([30, 99, 10])).tolist() == [2, 0]


@given(
    st.lists(st.integers(-5, 70_000), max_size=60),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 70_000), max_size=80),
)
def test_a_lookup_table_gives_the_same_as_a_binary_search(ids: list[int], requested: list[int]) -> None:
    mapping = IdMap.from_ids(ids)
    assert mapping.ids.tolist() == sorted(set(ids))
    rows, known = mapping.rows(requested)
    assert known.tolist() == [i in set(ids) for i in requested]
    assert [mapping.ids[row] for row, is_known in zip(rows, known, strict=True) if is_known] == [
        i for i in requested if i in set(ids)
    ]
    assert not rows[~known].any()
