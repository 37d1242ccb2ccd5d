import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import ArpackNoConvergence
from threadpoolctl import threadpool_info, threadpool_limits

from engine.models import sparse_top_k, spectral
from engine.models.base import CannotTrain
from engine.models.spectral import Spectral
from tests.engine.models.contract import PersonalFamilyContract
from tests.engine.models.item_item import ALL, SHAPES, Dense, confidences, fit_weights, keep_largest, off_diagonal


class TestSpectral(PersonalFamilyContract):
    checkerboard_trainer = Spectral(factors=2, neighbours=15)
    taste_trainer = Spectral(factors=8, neighbours=100)
    invalid = [
        *((name, 0) for name in ("factors", "neighbours")),
        ("low_pass", -1),
        *((name, value) for name in ("user_exponent", "item_exponent", "tilt") for value in (-0.1, 1.1)),
    ]


def weights_by_hand(x: Dense, trainer: Spectral) -> Dense:
    def power(sums: Dense, exponent: float) -> Dense:
        return np.where(sums > 0, np.maximum(sums, 1e-9) ** exponent, 0)

    users, items = x.sum(axis=1), x.sum(axis=0)
    normalized = power(users, -trainer.user_exponent)[:, None] * x * power(items, -trainer.item_exponent)
    _, values, right = np.linalg.svd(normalized)
    low_pass = right[: trainer.factors].T @ right[: trainer.factors]
    filters = normalized.T @ normalized / values[0] ** 2 + trainer.low_pass * low_pass
    tilted = power(items, -trainer.tilt)[:, None] * filters * power(items, trainer.tilt)
    return np.where(x.T @ x > 0, off_diagonal(tilted), 0)  # only pairs with common users


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "trainer",
    [
        Spectral(4, 0.3, 0.5, 0.5, 0.5, neighbours=ALL),
        Spectral(3, 2.0, 0.2, 0.1, 0.3, neighbours=ALL),
        Spectral(4, 0.0, 0.5, 0.5, 0.0, neighbours=ALL),
    ],
)
def test_weights_are_the_sum_of_both_filters(shape: tuple[int, int], trainer: Spectral) -> None:
    x = confidences(*shape)
    np.testing.assert_allclose(fit_weights(trainer, x), weights_by_hand(x, trainer), atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_neighbours_of_greatest_weight(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    x = confidences(*shape)
    all_weights = fit_weights(Spectral(4, neighbours=ALL), x)
    monkeypatch.setattr(sparse_top_k, "_BLOCK_PRODUCTS", 40)  # a few items at a time
    top_weights = fit_weights(Spectral(4, neighbours=3), x)
    np.testing.assert_allclose(top_weights, keep_largest(all_weights, 3), rtol=1e-5, atol=1e-6)


def test_singular_vectors_that_do_not_converge_are_a_reason_not_to_train(monkeypatch: pytest.MonkeyPatch) -> None:
    def svds(*arguments: object, **options: object) -> None:
        threads.update(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        raise ArpackNoConvergence("no convergence", np.zeros(0), np.zeros(0))

    threads: set[int] = set()
    monkeypatch.setattr(spectral, "svds", svds)
    with threadpool_limits(2, "blas"), pytest.raises(CannotTrain, match=r"spectral: .*no convergence"):
        Spectral(factors=2).fit(csr_matrix(confidences(30, 12), dtype=np.float32), seed=1, threads=1)
    assert threads == {1}
