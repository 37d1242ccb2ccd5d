from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from engine import fitting
from engine.data.confidence import ConfidenceWeights, confidence_matrix
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import fit_ensemble
from engine.models.base import FittedModel, FoldInConfig, Trainer
from engine.models.ials import IALS
from engine.models.item_knn import ItemKNN
from engine.models.rp3beta import RP3Beta
from engine.models.slim import SLIM
from engine.models.svd import SVD
from tests.engine.taste_groups import taste_group_split

ONE = np.ones((2, 3), np.float32)
NAN, INFINITE = (np.full((2, 3), value, np.float32) for value in (np.nan, np.inf))


@pytest.mark.parametrize("factors", [(ONE, NAN), (NAN, ONE), (ONE, INFINITE), (-INFINITE, ONE)])
def test_factors_that_are_not_finite_are_refused(factors: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(FloatingPointError, match="the factors are not finite"):
        FittedModel(factors)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_neighbours_and_a_fold_in_that_are_not_finite_are_refused(value: float) -> None:
    neighbours = sp.csr_matrix(np.array([[0, 1], [value, 0]], np.float32))
    with pytest.raises(FloatingPointError, match="the weights of the neighbours are not finite"):
        FittedModel(neighbours=neighbours)
    with pytest.raises(FloatingPointError, match=r"the configuration of the fold-in is not finite: .*mean_confidence="):
        FittedModel((ONE, ONE), FoldInConfig(mean_confidence=value))


@pytest.mark.parametrize("trainer", [IALS(factors=2), SLIM(), RP3Beta(), ItemKNN()])
def test_a_component_with_numbers_that_are_not_finite_is_left_out(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    past, _, shape = taste_group_split()
    infinite = ConfidenceWeights(base=2.0)

    def overflow(pairs: UserItemPairs, shape: tuple[int, int], confidence: ConfidenceWeights, *rest: Any) -> Any:
        matrix = confidence_matrix(pairs, shape, confidence, *rest)
        return matrix * np.float32(np.inf) if confidence == infinite else matrix

    monkeypatch.setattr(fitting, "confidence_matrix", overflow)
    ensemble = EnsembleConfig((ComponentConfig(trainer, infinite), ComponentConfig(RP3Beta())))
    with np.errstate(all="ignore"):
        fitted = fit_ensemble(past, shape, ensemble, seed=1, threads=1)
    assert fitted.ensemble.algorithm == "rp3beta"
    assert fitted.fallback is not None
    assert fitted.fallback.startswith(f"{trainer.family} could not run (FloatingPointError: the ")
    assert np.isfinite(fitted.build_scorer()(np.array([0, 1]))).any(axis=1).all()


def test_the_factors_of_a_second_component_are_left_out() -> None:
    past, _, shape = taste_group_split()
    components = tuple(ComponentConfig(trainer) for trainer in (SVD(factors=2), IALS(factors=2), RP3Beta()))
    fitted = fit_ensemble(past, shape, EnsembleConfig(components), seed=1, threads=1)
    assert fitted.ensemble.algorithm == "svd+rp3beta"
    assert fitted.fallback == "ials is left out: only one component can have factors"
