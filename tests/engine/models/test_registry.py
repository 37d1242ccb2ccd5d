"""A model family that is registered anywhere is usable everywhere."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse as sp

from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import fit_ensemble
from engine.models import FAMILIES, register
from engine.models.base import NO_CALLBACKS, FitCallbacks, FittedModel, Trainer
from engine.models.search_space import NumberRange, SearchSpace
from engine.tuning.space import search_shares, search_space
from tests.engine.taste_groups import taste_group_split


@dataclass(frozen=True)
class CoOccurrence(Trainer):
    """The number of users that two items share, to the power of `exponent`."""

    family: ClassVar[str] = "co_occurrence"
    search_space: ClassVar[SearchSpace] = {"exponent": NumberRange(0.5, 2.0)}
    search_share: ClassVar[float] = 0.1
    exponent: float = 1.0

    def fit(
        self, matrix: sp.csr_matrix, *, seed: int, threads: int = 0, callbacks: FitCallbacks = NO_CALLBACKS
    ) -> FittedModel:
        played = sp.csr_matrix(matrix > 0, dtype=np.float32)
        neighbours = sp.csr_matrix((played.T @ played).power(self.exponent))
        neighbours.setdiag(0)
        neighbours.eliminate_zeros()
        return FittedModel(neighbours=neighbours)


@pytest.fixture
def registered() -> Iterator[None]:
    register(CoOccurrence)
    yield
    del FAMILIES[CoOccurrence.family]


@pytest.mark.usefixtures("registered")
def test_a_registered_family_can_be_configured_searched_and_fitted() -> None:
    past, _, shape = taste_group_split()
    config = EnsembleConfig((ComponentConfig(CoOccurrence(exponent=1.5)),))
    assert EnsembleConfig.from_dict(config.to_dict()) == config
    assert search_shares()["co_occurrence"] == 0.1
    assert "exponent" in search_space("co_occurrence", past)
    fitted = fit_ensemble(past, shape, config, seed=1, threads=1)
    assert (fitted.fallback, fitted.ensemble.algorithm) == (None, "co_occurrence")
    scores = fitted.build_scorer()(np.array([0, 1]))
    assert scores.shape == (2, shape[1])
    assert np.isfinite(scores).any(axis=1).all()


@pytest.mark.usefixtures("registered")
def test_a_second_family_of_the_same_name_is_rejected() -> None:
    class Impostor(CoOccurrence):
        pass

    assert register(CoOccurrence) is CoOccurrence
    with pytest.raises(ValueError, match="'co_occurrence' is registered already, by CoOccurrence"):
        register(Impostor)
    assert FAMILIES["co_occurrence"] is CoOccurrence


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_tested_by_the_contract(family: str) -> None:
    assert "FamilyContract)" in (Path(__file__).parent / f"test_{family}.py").read_text()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1e30, 1e30])
@pytest.mark.parametrize("family", FAMILIES)
def test_numbers_that_are_not_finite_or_absurdly_large_are_refused_by_name(family: str, value: float) -> None:
    names = [name for name, default in asdict(FAMILIES[family]()).items() if isinstance(default, int | float)]
    for name in names:
        with pytest.raises(ValueError, match=f"{family}: {name} must"):
            FAMILIES[family](**{name: value})


def test_the_search_tries_a_recency_for_all_families_whose_tracks_vote() -> None:
    voting = {"rp3beta", "item_knn", "slim", "linear_autoencoder", "sparse_autoencoder", "spectral"}
    assert {name for name, family in FAMILIES.items() if "recency" in family.search_space} == voting
