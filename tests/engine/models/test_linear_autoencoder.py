import numpy as np
import pytest

from engine.models.linear_autoencoder import LinearAutoencoder
from tests.engine.models.contract import PersonalFamilyContract
from tests.engine.models.item_item import ALL, SHAPES, Dense, confidences, fit_weights, keep_largest, off_diagonal


class TestLinearAutoencoder(PersonalFamilyContract):
    checkerboard_trainer = LinearAutoencoder(l2=50.0, neighbours=15)
    taste_trainer = LinearAutoencoder(l2=100.0, neighbours=200)
    invalid = [
        *((name, 0) for name in ("l2", "neighbours")),
        *((name, 1.1) for name in ("dropout", "relaxation")),
        ("diagonal", "half"),
    ]


def weights_by_hand(x: Dense, trainer: LinearAutoencoder) -> Dense:
    """Compute the closed form with the whole inverse; RDLAE keeps the diagonal of the ridge where it is at most ξ."""
    gram = x.T @ x
    ridge = trainer.l2 + trainer.dropout / (1 - trainer.dropout) * np.diag(gram)
    p = np.linalg.inv(gram + np.diag(ridge))
    if trainer.diagonal == "free":
        return np.linalg.solve(gram + np.diag(ridge), gram)
    if trainer.diagonal == "zero":
        return np.eye(len(p)) - p / np.diag(p)
    is_free = np.diag(np.linalg.solve(gram + np.diag(ridge), gram)) <= trainer.relaxation
    b = np.eye(len(p)) - p * np.where(is_free, ridge, (1 - trainer.relaxation) / np.diag(p))
    np.testing.assert_allclose(np.diag(b)[~is_free], trainer.relaxation)
    assert 0 < is_free.sum() < len(is_free)
    return b


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("diagonal", ["zero", "relaxed", "free"])
def test_weights_follow_the_closed_form(shape: tuple[int, int], dropout: float, diagonal: str) -> None:
    """The shapes cover both ways of solving: by users and by items."""
    x = confidences(*shape)
    unconstrained = LinearAutoencoder(5.0, dropout, "free")
    diagonals = np.diag(weights_by_hand(x, unconstrained))
    trainer = LinearAutoencoder(5.0, dropout, diagonal, float(np.median(diagonals)), ALL)
    np.testing.assert_allclose(fit_weights(trainer, x), off_diagonal(weights_by_hand(x, trainer)), rtol=1e-3, atol=1e-5)


def test_the_size_of_the_blocks_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in SHAPES:
        x = confidences(*shape)
        for diagonal in ("zero", "relaxed", "free"):
            trainer = LinearAutoencoder(5.0, diagonal=diagonal, neighbours=ALL)
            expected = fit_weights(trainer, x)
            for items in (1, 5):
                with monkeypatch.context() as patch:
                    patch.setattr("engine.models.linear_autoencoder._BLOCK_BYTES", 8 * shape[1] * items)
                    np.testing.assert_allclose(fit_weights(trainer, x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("diagonal", ["free", "zero"])
def test_it_keeps_the_neighbours_of_greatest_absolute_weight(shape: tuple[int, int], diagonal: str) -> None:
    x = confidences(*shape)
    all_weights, top_weights = (
        fit_weights(LinearAutoencoder(l2=5.0, diagonal=diagonal, neighbours=k), x) for k in (ALL, 3)
    )
    np.testing.assert_allclose(top_weights, keep_largest(all_weights, 3), rtol=1e-6)
