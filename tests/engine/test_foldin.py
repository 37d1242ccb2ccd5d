import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from engine.serving.foldin import fold_in
from tests.engine.worlds import trained_checkerboard


def test_it_solves_the_normal_equations_written_out_in_full() -> None:
    bundle = trained_checkerboard().bundle
    rows, confidence = np.array([2, 4, 8]), np.array([4, 1, 4], np.float32)
    y, c = bundle.item_factors.astype(float), np.ones(20)
    c[rows] = confidence
    p = np.zeros(20)
    p[rows] = 1
    a = y.T @ np.diag(c) @ y + bundle.regularization * np.eye(bundle.factors)
    np.testing.assert_allclose(
        fold_in(bundle, rows, confidence), np.linalg.solve(a, y.T @ np.diag(c) @ p), rtol=1e-4, atol=1e-5
    )


def test_it_is_what_implicit_computes_for_a_new_listener() -> None:
    bundle = trained_checkerboard().bundle
    rows, confidence = np.array([1, 3, 5, 7]), np.array([4, 4, 1, 4], np.float32)
    theirs = AlternatingLeastSquares(factors=2, regularization=0.01, alpha=1.0, use_cg=False, num_threads=1)
    theirs.item_factors, theirs._YtY = np.array(bundle.item_factors), None
    plays = csr_matrix((confidence, (np.zeros(4, int), rows)), shape=(1, 20))
    np.testing.assert_allclose(
        fold_in(bundle, rows, confidence), theirs.recalculate_user(0, plays).ravel(), rtol=1e-3, atol=1e-4
    )


def test_no_plays_give_zeros() -> None:
    bundle = trained_checkerboard().bundle
    assert fold_in(bundle, np.zeros(0, int), np.zeros(0, np.float32)).tolist() == [0.0] * 2
