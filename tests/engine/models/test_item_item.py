"""Item–item families beside an obviously slow way of computing the same."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engine.models.base import Trainer, top_k_per_dense_row, top_k_per_row
from engine.models.item_knn import ItemKNN
from engine.models.linear_autoencoder import LinearAutoencoder
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM

Dense = NDArray[np.float64]
ALL = 1000
SHAPES = [(30, 12), (12, 30)]  # more listeners than tracks, and fewer


def confidences(users: int, items: int, seed: int = 0) -> Dense:
    """A third is played; one listener and one track have nothing."""
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((users, items)) < 0.35, rng.uniform(0.5, 5, (users, items)), 0)
    dense[users // 2], dense[:, items // 2] = 0, 0
    return dense.astype(np.float32).astype(np.float64)


def weights(trainer: Trainer, dense: Dense) -> Dense:
    neighbours = trainer.fit(csr_matrix(dense, dtype=np.float32), seed=0, threads=1).neighbours
    assert neighbours is not None
    return neighbours.toarray().astype(np.float64)


def off_diagonal(matrix: Dense) -> Dense:
    return np.where(np.eye(len(matrix), dtype=bool), 0, matrix)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.6, 0.4), (1.7, 1.0)])
def test_rp3beta_walks_from_track_to_listener_to_track(shape: tuple[int, int], alpha: float, beta: float) -> None:
    x = confidences(*shape)
    users, items = shape
    slow = np.zeros((items, items))
    for i in range(items):
        for j in range(items):
            for u in range(users):
                if x[u, i] and x[u, j] and i != j:
                    steps = (x[u, i] / x[:, i].sum()) ** alpha * (x[u, j] / x[u].sum()) ** alpha
                    slow[i, j] += steps / np.count_nonzero(x[:, j]) ** beta
    np.testing.assert_allclose(weights(RP3Beta(alpha, beta, ALL), x), slow, rtol=1e-4, atol=1e-7)


def weighted(x: Dense, normalization: str) -> Dense:
    """A listener is a term: how rarely it is used, and how much of it a long track has."""
    k, listened = np.count_nonzero(x, axis=1), np.count_nonzero(x, axis=0) > 0
    rarity = np.log1p(listened.sum() / np.maximum(k, 1))[:, None]
    if normalization == "cosine":
        return x
    if normalization == "tf-idf":
        return x * rarity
    total = x.sum(axis=0)
    length = 1 - 0.75 + 0.75 * total / total[listened].mean()
    return np.where(x > 0, x * 2.2 / (x + 1.2 * length), 0) * rarity


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("normalization", ["cosine", "tf-idf", "bm25"])
@pytest.mark.parametrize("shrink", [0.0, 7.0])
def test_item_knn_is_the_cosine_of_the_tracks_columns(
    shape: tuple[int, int], normalization: str, shrink: float
) -> None:
    columns = weighted(confidences(*shape), normalization).T
    slow = np.zeros((len(columns), len(columns)))
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            if a @ b and i != j:
                slow[i, j] = a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + shrink)
    found = weights(ItemKNN(shrink, normalization, ALL), confidences(*shape))
    np.testing.assert_allclose(found, slow, rtol=1e-4, atol=1e-7)


def textbook(x: Dense, trainer: LinearAutoencoder) -> Dense:
    """EDLAE's closed form with the whole inverse; RDLAE lets a diagonal of the ridge be where it is at most ξ."""
    gram = x.T @ x
    ridge = trainer.l2 + trainer.dropout / (1 - trainer.dropout) * np.diag(gram)
    p = np.linalg.inv(gram + np.diag(ridge))
    if trainer.diagonal == "free":
        return np.linalg.solve(gram + np.diag(ridge), gram)
    if trainer.diagonal == "zero":
        return np.eye(len(p)) - p / np.diag(p)
    loose = np.diag(np.linalg.solve(gram + np.diag(ridge), gram)) <= trainer.relaxation
    b = np.eye(len(p)) - p * np.where(loose, ridge, (1 - trainer.relaxation) / np.diag(p))
    np.testing.assert_allclose(np.diag(b)[~loose], trainer.relaxation)
    assert 0 < loose.sum() < len(loose)
    return b


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("diagonal", ["zero", "relaxed", "free"])
def test_a_linear_autoencoder_is_the_textbook_formula(shape: tuple[int, int], dropout: float, diagonal: str) -> None:
    """Whichever of listeners and tracks are fewer is solved for."""
    x = confidences(*shape)
    plain = LinearAutoencoder(5.0, dropout, "free")
    diagonals = np.diag(textbook(x, plain))
    trainer = LinearAutoencoder(5.0, dropout, diagonal, float(np.median(diagonals)), ALL)
    np.testing.assert_allclose(weights(trainer, x), off_diagonal(textbook(x, trainer)), rtol=1e-3, atol=1e-5)


def objective(x: Dense, target: int, w: Dense, l1: float, l2: float) -> float:
    return float(0.5 * ((x[:, target] - x @ w) ** 2).sum() + l1 * np.abs(w).sum() + 0.5 * l2 * (w**2).sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 5.0), (2.0, 0.5), (10.0, 30.0)])
def test_slim_is_where_no_weight_can_be_changed_for_the_better(shape: tuple[int, int], l1: float, l2: float) -> None:
    """The conditions of Karush, Kuhn and Tucker: the gradient is 0 where a weight is above 0, else not below 0."""
    x = confidences(*shape)
    found = weights(SLIM(l1, l2, candidates=ALL, sweeps=2000), x)
    assert (found >= 0).all()
    for target in range(shape[1]):
        w = found[:, target]
        gradient = -x.T @ (x[:, target] - x @ w) + l1 + l2 * w
        others = np.arange(shape[1]) != target
        shares = (x.T @ x[:, target] > 0) & others  # one that shares no listener is no candidate
        np.testing.assert_allclose(gradient[w > 0], 0, atol=0.05)
        assert (gradient[shares & (w == 0)] > -0.05).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_slim_is_the_elastic_net_of_another_library(shape: tuple[int, int]) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, (l1, l2) = confidences(*shape), (2.0, 4.0)
    found = weights(SLIM(l1, l2, candidates=ALL, sweeps=2000), x)
    options: dict[str, Any] = {"positive": True, "fit_intercept": False, "tol": 1e-10, "max_iter": 100_000}
    net = linear_model.ElasticNet(alpha=(l1 + l2) / shape[0], l1_ratio=l1 / (l1 + l2), **options)
    for target in range(shape[1]):
        shares = (x.T @ x[:, target] > 0) & (np.arange(shape[1]) != target)
        theirs = np.zeros(shape[1])
        if shares.any():
            theirs[shares] = net.fit(x[:, shares], x[:, target]).coef_
        np.testing.assert_allclose(found[:, target], theirs, atol=2e-3)


def test_slim_with_fewer_candidates_takes_those_most_alike() -> None:
    x = confidences(40, 15)
    alike = weights(ItemKNN(0.0, "cosine", 4), x)
    found = weights(SLIM(0.1, 1.0, candidates=4), x)
    assert not found[alike.T == 0].any()
    assert (found > 0).sum() > 15


def largest(matrix: Dense, k: int) -> Dense:
    """Zero but for the k greatest of each row, regardless of sign."""
    kept = np.zeros_like(matrix)
    for i, row in enumerate(matrix):
        best = np.argsort(-np.abs(row), kind="stable")[:k]
        kept[i, best] = row[best]
    return kept


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "family",
    [
        lambda k: RP3Beta(neighbours=k),
        lambda k: ItemKNN(neighbours=k),
        lambda k: LinearAutoencoder(l2=5.0, neighbours=k),
        lambda k: LinearAutoencoder(l2=5.0, diagonal="zero", neighbours=k),
    ],
    ids=["rp3beta", "item_knn", "free", "zero"],
)
def test_the_neighbours_kept_are_the_greatest_regardless_of_sign(family: Any, shape: tuple[int, int]) -> None:
    x = confidences(*shape)
    np.testing.assert_allclose(weights(family(3), x), largest(weights(family(ALL), x), 3), rtol=1e-6)


@given(st.integers(0, 10_000), st.integers(1, 9))
def test_dense_and_sparse_rows_keep_the_same(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((6, 8)) < 0.6, rng.standard_normal((6, 8)), 0).astype(np.float32)
    expected = largest(dense.astype(np.float64), k)
    np.testing.assert_array_equal(top_k_per_row(csr_matrix(dense), k).toarray(), expected)
    np.testing.assert_array_equal(top_k_per_dense_row(dense, k).toarray(), expected)


def test_a_linear_autoencoder_is_solved_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of one track or of a few, on either side, give what all at once gives."""
    for shape in SHAPES:
        x = confidences(*shape)
        for diagonal in ("zero", "relaxed", "free"):
            trainer = LinearAutoencoder(5.0, diagonal=diagonal, neighbours=ALL)
            whole = weights(trainer, x)
            for tracks in (1, 5):
                with monkeypatch.context() as patch:
                    patch.setattr("engine.models.linear_autoencoder._BLOCK_BYTES", 8 * shape[1] * tracks)
                    np.testing.assert_allclose(weights(trainer, x), whole, rtol=1e-4, atol=1e-6)
