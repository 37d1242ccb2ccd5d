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


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_long_dense_rows_keep_their_greatest_entries(seed: int, k: int) -> None:
    """The threshold comes from a sample of the columns, which may be misleading: ascending, or nearly empty, rows."""
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((4, 300)).astype(np.float32)
    dense[1].sort()
    dense[2, rng.random(300) < 0.98] = 0
    dense[3] = np.where(np.arange(300) % 10 == 0, 100 + dense[3], dense[3])
    expected = keep_largest(dense.astype(np.float64), k)
    np.testing.assert_array_equal(top_k_per_dense_row(dense, k).toarray(), expected)
