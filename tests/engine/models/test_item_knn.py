import numpy as np
import pytest

from engine.models.item_knn import ItemKNN
from tests.engine.models.contract import PersonalFamilyContract
from tests.engine.models.item_item import ALL, SHAPES, Dense, confidences, fit_weights, keep_largest


class TestItemKNN(PersonalFamilyContract):
    checkerboard_trainer = ItemKNN(neighbours=15)
    taste_trainer = ItemKNN(neighbours=100)
    invalid = [("shrink", -1), ("normalization", "sine"), ("neighbours", 0)]


def weight_by_hand(x: Dense, normalization: str) -> Dense:
    """Weight the matrix as text retrieval does, with users as terms and items as documents."""
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
def test_weights_are_the_cosines_of_the_columns(shape: tuple[int, int], normalization: str, shrink: float) -> None:
    columns = weight_by_hand(confidences(*shape), normalization).T
    expected = np.zeros((len(columns), len(columns)))
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            if a @ b and i != j:
                expected[i, j] = a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + shrink)
    fitted_weights = fit_weights(ItemKNN(shrink, normalization, ALL), confidences(*shape))
    np.testing.assert_allclose(fitted_weights, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_keeps_the_neighbours_of_greatest_weight(shape: tuple[int, int]) -> None:
    x = confidences(*shape)
    all_weights, top_weights = (fit_weights(ItemKNN(neighbours=k), x) for k in (ALL, 3))
    np.testing.assert_allclose(top_weights, keep_largest(all_weights, 3), rtol=1e-6)
