"""The vectors of some rows, in parts."""

import numpy as np
import pytest

from engine.bundle.row_vectors import RowVectors

VECTORS = np.array([[1, 2], [0, 0], [3, 4], [5, 6], [0, 0], [7, 8]], np.float32)
LISTENER = np.array([1, -10], np.float32)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3], [1, 2], [1], []])
def test_selected_rows_are_multiplied_whether_they_were_copied_or_not(rows: list[int]) -> None:
    selected = RowVectors.select(VECTORS, np.array(rows, np.int64), 0.5)
    known = [row for row in rows if VECTORS[row].any()]
    assert selected.rows.tolist() == known
    np.testing.assert_allclose(selected.norms, np.linalg.norm(VECTORS[known] / 2, axis=1), rtol=1e-6)
    np.testing.assert_allclose(selected.multiply(LISTENER), VECTORS[known] / 2 @ LISTENER, rtol=1e-6)


@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4, 5], [1, 2]])
def test_updates_replace_and_add_rows_and_leave_the_rest_where_it_is(rows: list[int]) -> None:
    selected = RowVectors.select(VECTORS, np.array(rows, np.int64), 1.0)
    updates = np.array([[9, 9], [1, 0], [0, 0]], np.float32)
    updated = selected.with_updates(np.array([2, 4, 8]), updates)  # one known, one that was zeros, one still unknown
    expected = {row: VECTORS[row] for row in selected.rows.tolist()} | {2: updates[0], 4: updates[1]}
    assert updated.rows.tolist() == sorted(expected)
    vectors = np.stack([expected[row] for row in updated.rows.tolist()])
    np.testing.assert_allclose(updated.norms, np.linalg.norm(vectors, axis=1), rtol=1e-6)
    np.testing.assert_allclose(updated.multiply(LISTENER), vectors @ LISTENER, rtol=1e-6)
    assert updated.parts[0].vectors is selected.parts[0].vectors
    assert selected.with_updates(np.array([8]), updates[2:]) is selected
