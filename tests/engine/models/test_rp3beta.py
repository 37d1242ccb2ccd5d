import numpy as np
import pytest

from engine.models.rp3beta import RP3Beta
from tests.engine.models.contract import PersonalFamilyContract
from tests.engine.models.item_item import ALL, SHAPES, confidences, fit_weights, keep_largest


class TestRP3Beta(PersonalFamilyContract):
    checkerboard_trainer = RP3Beta(neighbours=15)
    taste_trainer = RP3Beta(neighbours=100)
    invalid = [("alpha", 0), ("beta", -0.1), ("neighbours", 0)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.6, 0.4), (1.7, 1.0)])
def test_weights_are_the_probabilities_of_three_steps(shape: tuple[int, int], alpha: float, beta: float) -> None:
    x = confidences(*shape)
    users, items = shape
    expected = np.zeros((items, items))
    for i in range(items):
        for j in range(items):
            for u in range(users):
                if x[u, i] and x[u, j] and i != j:
                    steps = (x[u, i] / x[:, i].sum()) ** alpha * (x[u, j] / x[u].sum()) ** alpha
                    expected[i, j] += steps / np.count_nonzero(x[:, j]) ** beta
    np.testing.assert_allclose(fit_weights(RP3Beta(alpha, beta, ALL), x), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_neighbours_of_greatest_weight(shape: tuple[int, int]) -> None:
    x = confidences(*shape)
    all_weights, top_weights = (fit_weights(RP3Beta(neighbours=k), x) for k in (ALL, 3))
    np.testing.assert_allclose(top_weights, keep_largest(all_weights, 3), rtol=1e-6)
