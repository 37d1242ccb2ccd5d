"""The training configuration follows from settings and tuning studies."""

from typing import Any

import pytest
from django.conf import settings as configured

from engine.data.confidence import ConfidenceWeights
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models import FAMILIES
from engine.models.als import ALS
from engine.models.bpr import BPR
from engine.models.ials import IALS
from engine.models.rp3beta import RP3Beta
from engine.models.svd import SVD
from recommendations.models import TuningStudy
from recommendations.training.config import ensemble_from_settings, training_config

NEIGHBOURS = EnsembleConfig((ComponentConfig(RP3Beta()),))

pytestmark = pytest.mark.usefixtures("db")


def test_without_a_study_the_ensemble_comes_from_the_settings(settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {
        "FACTORS": 7,
        "ITERATIONS": 3,
        "REGULARIZATION": 0.5,
        "CONFIDENCE_BASE": 1.5,
        "CONFIDENCE_BONUS": 2.5,
        "CONFIDENCE_LIKED": 4.0,
        "CONFIDENCE_TRANSFORM": "log",
        "CONFIDENCE_SCALE": 0.5,
        "CONFIDENCE_HALF_LIFE": 30.0,
        "SPLIT": "leave_last",
        "HOLDOUT": 0.3,
        "TRAINING_SEED": 5,
    }
    config = training_config()
    trainer = IALS(factors=7, iterations=3, regularization_ratio=0.5)
    confidence = ConfidenceWeights(1.5, 2.5, 4.0, "log", scale=0.5, half_life=30.0)
    assert config.ensemble == EnsembleConfig((ComponentConfig(trainer, confidence),))
    assert (config.split, config.holdout, config.seed, config.threads) == ("leave_last", 0.3, 5, 1)


@pytest.mark.parametrize(
    ("family", "trainer"),
    [
        ("svd", SVD(factors=2)),
        ("bpr", BPR(factors=2, iterations=12, regularization=0.01)),
        ("rp3beta", RP3Beta()),
    ],
)
def test_a_family_uses_the_settings_that_apply_to_it(settings: Any, family: str, trainer: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": family}
    [part] = ensemble_from_settings().components
    assert part.trainer == trainer


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_chosen(settings: Any, family: str) -> None:
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": family}
    assert ensemble_from_settings().algorithm == family


def test_auto_leaves_the_family_to_the_training_run(settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": "auto", "CONFIDENCE_BONUS": 2.0}
    config = training_config()
    assert config.ensemble == config.candidates[0] == ensemble_from_settings()
    assert config.ensemble.components[0].trainer == IALS(factors=2)
    assert [candidate.algorithm for candidate in config.candidates[1:]] == [
        "rp3beta",
        "item_knn",
        "sparse_autoencoder",
        "popularity",
    ]
    settings.MUSICREC = settings.MUSICREC | {"QUESTION": "all"}
    assert "repeat" in [candidate.algorithm for candidate in training_config().candidates]
    assert training_config(NEIGHBOURS).candidates == ()
    TuningStudy.objects.create(budget_seconds=1, status="adopted", recipe=NEIGHBOURS.to_dict())
    assert (training_config().ensemble, training_config().candidates) == (NEIGHBOURS, ())


def test_the_regularization_is_that_of_the_chosen_family(settings: Any) -> None:
    settings.MUSICREC = settings.MUSICREC | {"FAMILY": "als", "REGULARIZATION": 0.5, "FACTORS": 64, "ITERATIONS": 15}
    [part] = ensemble_from_settings().components
    assert part.trainer == ALS(regularization=0.5)
    settings.MUSICREC = settings.MUSICREC | {"REGULARIZATION": 0.0}
    [part] = ensemble_from_settings().components
    assert part.trainer == ALS()


def test_a_given_ensemble_takes_precedence() -> None:
    recipe = EnsembleConfig((ComponentConfig(RP3Beta(beta=0.9)),))
    assert training_config(recipe).ensemble == recipe


def test_the_defaults_are_those_of_the_engine() -> None:
    [part] = ensemble_from_settings().components
    assert part == ComponentConfig(IALS(factors=configured.MUSICREC["FACTORS"]), ConfidenceWeights())


def test_settings_can_take_precedence_over_tuning(settings: Any) -> None:
    TuningStudy.objects.create(budget_seconds=1, status="adopted", recipe=NEIGHBOURS.to_dict())
    TuningStudy.objects.create(budget_seconds=1, status="held_back", recipe=EnsembleConfig().to_dict())
    assert training_config().ensemble == NEIGHBOURS
    settings.MUSICREC = settings.MUSICREC | {"USE_TUNED": False}
    assert training_config().ensemble == ensemble_from_settings()


def test_an_unreadable_study_of_another_release_is_ignored() -> None:
    TuningStudy.objects.create(budget_seconds=1, status="adopted", recipe={"parts": [{"family": "crystal_ball"}]})
    assert training_config().ensemble == ensemble_from_settings()
