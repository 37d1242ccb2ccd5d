import sys
from typing import Any

import numpy as np
import pytest

from engine.models.base import CannotTrain
from engine.models.item_knn import ItemKNN
from engine.models.slim import SLIM
from tests.engine.models.contract import PersonalFamilyContract, checkerboard_matrix
from tests.engine.models.item_item import ALL, SHAPES, confidences, fit_weights


class TestSLIM(PersonalFamilyContract):
    checkerboard_trainer = SLIM(l1=0.1, l2=10.0, candidates=15)
    taste_trainer = SLIM(l1=1.0, l2=50.0, candidates=60)
    invalid = [("l1", -1), ("l2", -1), ("candidates", 0), ("sweeps", 0)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("l1", "l2"), [(0.0, 5.0), (2.0, 0.5), (10.0, 30.0)])
def test_weights_are_optimal(shape: tuple[int, int], l1: float, l2: float) -> None:
    """Karush-Kuhn-Tucker conditions: the gradient is 0 where a weight is above 0, and not below 0 elsewhere."""
    x = confidences(*shape)
    fitted_weights = fit_weights(SLIM(l1, l2, candidates=ALL, sweeps=2000), x)
    assert (fitted_weights >= 0).all()
    for target in range(shape[1]):
        w = fitted_weights[:, target]
        gradient = -x.T @ (x[:, target] - x @ w) + l1 + l2 * w
        others = np.arange(shape[1]) != target
        is_candidate = (x.T @ x[:, target] > 0) & others  # items without common users are not
        np.testing.assert_allclose(gradient[w > 0], 0, atol=0.05)
        assert (gradient[is_candidate & (w == 0)] > -0.05).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_equal_the_elastic_net_of_scikit_learn(shape: tuple[int, int]) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, (l1, l2) = confidences(*shape), (2.0, 4.0)
    fitted_weights = fit_weights(SLIM(l1, l2, candidates=ALL, sweeps=2000), x)
    options: dict[str, Any] = {"positive": True, "fit_intercept": False, "tol": 1e-10, "max_iter": 100_000}
    net = linear_model.ElasticNet(alpha=(l1 + l2) / shape[0], l1_ratio=l1 / (l1 + l2), **options)
    for target in range(shape[1]):
        is_candidate = (x.T @ x[:, target] > 0) & (np.arange(shape[1]) != target)
        expected = np.zeros(shape[1])
        if is_candidate.any():
            expected[is_candidate] = net.fit(x[:, is_candidate], x[:, target]).coef_
        np.testing.assert_allclose(fitted_weights[:, target], expected, atol=2e-3)


def test_the_candidates_are_the_most_similar_items() -> None:
    x = confidences(40, 15)
    similar = fit_weights(ItemKNN(0.0, "cosine", 4), x)
    fitted_weights = fit_weights(SLIM(0.1, 1.0, candidates=4), x)
    assert not fitted_weights[similar.T == 0].any()
    assert (fitted_weights > 0).sum() > 15


def test_without_numba_it_cannot_be_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(CannotTrain, match="numba"):
        SLIM(l1=0.1, l2=10.0, candidates=15).fit(checkerboard_matrix(), seed=1, threads=1)
