import sys

import numpy as np
import pytest

from engine.models.base import CannotTrain
from engine.models.item_knn import ItemKNN
from engine.models.linear_autoencoder import LinearAutoencoder
from engine.models.sparse_autoencoder import SparseAutoencoder
from tests.engine.models.contract import PersonalFamilyContract, checkerboard_matrix
from tests.engine.models.item_item import ALL, SHAPES, Dense, confidences, fit_weights, keep_largest


class TestSparseAutoencoder(PersonalFamilyContract):
    checkerboard_trainer = SparseAutoencoder(l2=50.0, candidates=15, neighbours=15)
    taste_trainer = SparseAutoencoder(l2=100.0, neighbours=200)
    invalid = [
        *((name, 0) for name in ("l2", "candidates", "neighbours")),
        *((name, 1.1) for name in ("dropout", "relaxation")),
        ("diagonal", "half"),
    ]


def weights_by_hand(x: Dense, trainer: SparseAutoencoder) -> Dense:
    """Invert the system of each item and its candidates; its column of the inverse gives the weights."""
    similar = fit_weights(ItemKNN(0.0, "cosine", trainer.candidates), x)
    ridge = trainer.l2 + trainer.dropout / (1 - trainer.dropout) * (x**2).sum(axis=0)
    system, weights = x.T @ x + np.diag(ridge), np.zeros((x.shape[1], x.shape[1]))
    for target in range(x.shape[1]):
        candidates = np.flatnonzero(similar[target])
        pattern = np.append(candidates, target)
        *others, diagonal = np.linalg.inv(system[np.ix_(pattern, pattern)])[:, -1]
        kappa = {"free": ridge[target], "zero": 1 / diagonal}.get(trainer.diagonal)
        if kappa is None:
            is_large = 1 - ridge[target] * diagonal > trainer.relaxation
            kappa = (1 - trainer.relaxation) / diagonal if is_large else ridge[target]
        weights[candidates, target] = -np.array(others) * kappa
    return weights


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("diagonal", ["free", "zero", "relaxed"])
@pytest.mark.parametrize(("l2", "dropout", "candidates"), [(20.0, 0.3, ALL), (3.0, 0.0, 4)])
def test_weights_are_a_column_of_the_inverse_of_each_small_system(
    shape: tuple[int, int], diagonal: str, l2: float, dropout: float, candidates: int
) -> None:
    x = confidences(*shape)
    trainer = SparseAutoencoder(l2, dropout, diagonal, 0.2, candidates, ALL)
    np.testing.assert_allclose(fit_weights(trainer, x), weights_by_hand(x, trainer), rtol=0.02, atol=2e-3)


@pytest.mark.parametrize("diagonal", ["free", "zero", "relaxed"])
def test_it_equals_the_linear_autoencoder_where_every_item_is_a_candidate_for_every_other(diagonal: str) -> None:
    x = confidences(200, 12)
    exact = fit_weights(LinearAutoencoder(30.0, 0.4, diagonal, 0.2, ALL), x)
    np.testing.assert_allclose(fit_weights(SparseAutoencoder(30.0, 0.4, diagonal, 0.2), x), exact, rtol=0.02, atol=1e-3)


def test_it_keeps_the_neighbours_of_greatest_weight() -> None:
    x = confidences(30, 12)
    all_weights, top_weights = (fit_weights(SparseAutoencoder(neighbours=k), x) for k in (ALL, 3))
    np.testing.assert_allclose(top_weights, keep_largest(all_weights, 3), rtol=1e-6)


def test_without_numba_it_cannot_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(CannotTrain, match="numba"):
        SparseAutoencoder(l2=50.0).fit(checkerboard_matrix(), seed=1, threads=1)
