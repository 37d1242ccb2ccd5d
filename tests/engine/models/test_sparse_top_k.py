import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from engine.models.sparse_top_k import top_k_per_dense_row, top_k_per_row
from tests.engine.models.item_item import keep_largest


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_dense_and_sparse_rows_keep_their_greatest_entries(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((6, 8)) < 0.6, rng.standard_normal((6, 8)), 0).astype(np.float32)
    expected = keep_largest(dense.astype(np.float64), k)
    np.testing.assert_array_equal(top_k_per_row(csr_matrix(dense), k).toarray(), expected)
    np.testing.assert_array_equal(top_k_per_dense_row(dense, k).toarray(), expected)
