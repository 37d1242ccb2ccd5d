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


def bundle_of(how: FoldInConfig, damping: float = 0.0) -> ModelBundle:
    return assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.arange(9)),
        popularity=LISTENERS,
        ensemble=EnsembleConfig((ComponentConfig(damping=damping),)),
        fitted_models=[FittedModel((np.zeros((0, 3), np.float32), ITEMS), how)],
    )


def solved(how: FoldInConfig, confidence: NDArray[np.float32] = CONFIDENCE) -> NDArray[np.float64]:
    """The normal equations written out over all tracks: each has a weight, and a wish of 0 or c."""
    y, k = ITEMS.astype(float), np.count_nonzero(confidence > 0)
    weight, wish = np.full(9, how.unobserved), np.zeros(9)
    c = confidence * (k / how.mean_pairs) ** how.activity
    weight[ROWS] += np.where(c > 0, c - how.offset, -c)
    wish[ROWS] = np.maximum(c, 0)
    ridge = how.regularization * (k + how.unobserved * 9) ** how.exponent
    return np.linalg.solve(y.T @ np.diag(weight) @ y + ridge * np.eye(3), y.T @ wish)


@pytest.mark.parametrize(
    "how",
    [
        FoldInConfig(),
        FoldInConfig(regularization=2.0),
        FoldInConfig(unobserved=0.1, offset=0.0),
        FoldInConfig(unobserved=0.3, offset=0.0, regularization=0.05, exponent=1.0),
        FoldInConfig(unobserved=0.3, offset=0.0, exponent=0.5, activity=-0.7, mean_pairs=11.5),
    ],
)
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_it_solves_the_normal_equations_written_out_in_full(how: FoldInConfig, damping: float) -> None:
    """Damping is for scoring alone: the listener's vector is that of the factors as they were learnt."""
    found = fold_in(bundle_of(how, damping), ROWS, CONFIDENCE)
    np.testing.assert_allclose(found, solved(how), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", [FoldInConfig(), FoldInConfig(unobserved=0.3, offset=0.0, exponent=0.5, activity=-0.7)])
def test_a_refused_track_weighs_against_and_not_for(how: FoldInConfig) -> None:
    confidence = np.array([4, -2, 2, -0.5], np.float32)
    found = fold_in(bundle_of(how), ROWS, confidence)
    np.testing.assert_allclose(found, solved(how, confidence), rtol=1e-4, atol=1e-5)
    without = fold_in(bundle_of(how), ROWS[[0, 2]], confidence[[0, 2]])
    assert np.abs(ITEMS[ROWS[1]] @ found) < np.abs(ITEMS[ROWS[1]] @ without)


def test_only_refusals_give_no_taste() -> None:
    assert not fold_in(bundle_of(FoldInConfig()), ROWS, -CONFIDENCE).any()


def test_a_projection_is_the_sum_of_the_tracks_by_confidence() -> None:
    found = fold_in(bundle_of(FoldInConfig("project")), ROWS, CONFIDENCE)
    np.testing.assert_allclose(found, CONFIDENCE @ ITEMS[ROWS], rtol=1e-5)


def test_it_is_what_implicit_computes_for_a_new_listener() -> None:
    bundle = train_checkerboard().bundle
    rows, confidence = np.array([1, 3, 5, 7]), np.array([4, 4, 1, 4], np.float32)
    theirs = AlternatingLeastSquares(factors=2, regularization=0.01, alpha=1.0, use_cg=False, num_threads=1)
    theirs.item_factors, theirs._YtY = np.array(bundle.item_factors), None
    plays = csr_matrix((confidence, (np.zeros(4, int), rows)), shape=(1, 20))
    np.testing.assert_allclose(
        fold_in(bundle, rows, confidence), theirs.recalculate_user(0, plays).ravel(), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(
    "trainer",
    [
        IALS(factors=3, iterations=150, regularization=0.05),
        IALS(factors=3, iterations=150, regularization=0.05, exponent=0.4, activity=-0.5, unobserved=0.5),
        SVD(factors=3),
    ],
)
def test_a_listener_folded_in_is_where_the_model_has_put_them(trainer: IALS | SVD) -> None:
    random = np.random.default_rng(7)
    dense = np.where(random.random((40, 9)) < 0.4, random.integers(1, 5, (40, 9)), 0).astype(np.float32)
    dense[:, 0] = 1  # nobody has played nothing
    learnt = trainer.fit(csr_matrix(dense), seed=1, threads=1)
    bundle = assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.arange(9)),
        popularity=(dense > 0).sum(axis=0).astype(np.float32),
        ensemble=EnsembleConfig((ComponentConfig(trainer, damping=0.3),)),
        fitted_models=[learnt],
    )
    assert learnt.factors is not None
    for stored, row in zip(learnt.factors[0], dense, strict=True):
        rows = np.flatnonzero(row)
        np.testing.assert_allclose(fold_in(bundle, rows, row[rows]), stored, rtol=0.01, atol=0.01)


def test_no_plays_give_zeros() -> None:
    bundle = train_checkerboard().bundle
    assert fold_in(bundle, np.zeros(0, int), np.zeros(0, np.float32)).tolist() == [0.0] * 2
