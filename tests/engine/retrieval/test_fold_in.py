import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.id_map import IdMap
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from engine.models.svd import SVD
from engine.retrieval.fold_in import fold_in
from tests.engine.factories import train_checkerboard

RNG = np.random.default_rng(4)
ITEMS = RNG.standard_normal((9, 3)).astype(np.float32)
LISTENERS = RNG.integers(1, 50, 9).astype(np.float32)
ROWS, CONFIDENCE = np.array([1, 4, 5, 8]), np.array([4, 0.5, 2, 4], np.float32)


def make_bundle(config: FoldInConfig, damping: float = 0.0) -> ModelBundle:
    return assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.arange(9)),
        popularity=LISTENERS,
        ensemble=EnsembleConfig((ComponentConfig(damping=damping),)),
        fitted_models=[FittedModel((np.zeros((0, 3), np.float32), ITEMS), config)],
    )


def solve_normal_equations(config: FoldInConfig, confidence: NDArray[np.float32] = CONFIDENCE) -> NDArray[np.float64]:
    """Solve the normal equations over all tracks; each track has a weight, and a target of 0 or c."""
    y, k = ITEMS.astype(float), np.count_nonzero(confidence > 0)
    weight, target = np.full(9, config.unobserved), np.zeros(9)
    c = confidence * (k / config.mean_pairs) ** config.activity
    weight[ROWS] += np.where(c > 0, c - config.offset, -c)
    target[ROWS] = np.maximum(c, 0)
    ridge = config.regularization * (k + config.smoothing * config.unobserved * 9) ** config.exponent
    return np.linalg.solve(y.T @ np.diag(weight) @ y + ridge * np.eye(3), y.T @ target)


@pytest.mark.parametrize(
    "config",
    [
        FoldInConfig(),
        FoldInConfig(regularization=2.0),
        FoldInConfig(unobserved=0.1, offset=0.0),
        FoldInConfig(unobserved=0.3, offset=0.0, regularization=0.05, exponent=1.0),
        FoldInConfig(unobserved=0.3, offset=0.0, regularization=0.05, exponent=1.0, smoothing=0.0),
        FoldInConfig(unobserved=0.3, offset=0.0, exponent=0.5, activity=-0.7, mean_pairs=11.5),
    ],
)
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_it_solves_the_normal_equations_written_out_in_full(config: FoldInConfig, damping: float) -> None:
    """Damping only affects scores: the listener's vector follows from the factors as they were fitted."""
    vector = fold_in(make_bundle(config, damping), ROWS, CONFIDENCE)
    np.testing.assert_allclose(vector, solve_normal_equations(config), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "config", [FoldInConfig(), FoldInConfig(unobserved=0.3, offset=0.0, exponent=0.5, activity=-0.7)]
)
def test_a_disliked_track_pulls_the_vector_away(config: FoldInConfig) -> None:
    confidence = np.array([4, -2, 2, -0.5], np.float32)
    vector = fold_in(make_bundle(config), ROWS, confidence)
    np.testing.assert_allclose(vector, solve_normal_equations(config, confidence), rtol=1e-4, atol=1e-5)
    without = fold_in(make_bundle(config), ROWS[[0, 2]], confidence[[0, 2]])
    assert np.abs(ITEMS[ROWS[1]] @ vector) < np.abs(ITEMS[ROWS[1]] @ without)


def test_only_dislikes_give_zeros() -> None:
    assert not fold_in(make_bundle(FoldInConfig()), ROWS, -CONFIDENCE).any()


def test_a_projection_is_the_sum_of_the_tracks_by_confidence() -> None:
    vector = fold_in(make_bundle(FoldInConfig("project")), ROWS, CONFIDENCE)
    np.testing.assert_allclose(vector, CONFIDENCE @ ITEMS[ROWS], rtol=1e-5)


def test_it_equals_the_fold_in_of_the_implicit_library() -> None:
    bundle = train_checkerboard().bundle
    rows, confidence = np.array([1, 3, 5, 7]), np.array([4, 4, 1, 4], np.float32)
    implicit_als = AlternatingLeastSquares(factors=2, regularization=0.01, alpha=1.0, use_cg=False, num_threads=1)
    implicit_als.item_factors, implicit_als._YtY = np.array(bundle.item_factors), None
    plays = csr_matrix((confidence, (np.zeros(4, int), rows)), shape=(1, 20))
    np.testing.assert_allclose(
        fold_in(bundle, rows, confidence), implicit_als.recalculate_user(0, plays).ravel(), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    "trainer",
    [
        IALS(factors=3, iterations=150, regularization_ratio=0.05),
        IALS(factors=3, iterations=150, regularization_ratio=0.05, exponent=0.4, activity=-0.5, unobserved_ratio=2.0),
        IALS(factors=3, iterations=150, regularization=0.05, unobserved=0.5, exponent=0.4, activity=-0.5),
        SVD(factors=3),
    ],
)
def test_folding_in_the_training_plays_gives_the_fitted_vector(trainer: IALS | SVD) -> None:
    random = np.random.default_rng(7)
    dense = np.where(random.random((40, 9)) < 0.4, random.integers(1, 5, (40, 9)), 0).astype(np.float32)
    dense[:, 0] = 1  # every listener has played a track
    fitted = trainer.fit(csr_matrix(dense), seed=1, threads=1)
    bundle = assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.arange(9)),
        popularity=(dense > 0).sum(axis=0).astype(np.float32),
        ensemble=EnsembleConfig((ComponentConfig(trainer, damping=0.3),)),
        fitted_models=[fitted],
    )
    assert fitted.factors is not None
    for stored, row in zip(fitted.factors[0], dense, strict=True):
        rows = np.flatnonzero(row)
        np.testing.assert_allclose(fold_in(bundle, rows, row[rows]), stored, rtol=0.01, atol=0.01)


def test_no_plays_give_zeros() -> None:
    bundle = train_checkerboard().bundle
    assert fold_in(bundle, np.zeros(0, int), np.zeros(0, np.float32)).tolist() == [0.0] * 2
