"""The settings, as the engine wants them."""

from django.conf import settings

from engine.matrix import Confidence
from engine.storage.versions import VersionStore
from engine.training import TrainingConfig


def store() -> VersionStore:
    return VersionStore(settings.MUSICREC["MODEL_DIR"])


def training_config() -> TrainingConfig:
    s = settings.MUSICREC
    return TrainingConfig(
        factors=s["FACTORS"],
        iterations=s["ITERATIONS"],
        regularization=s["REGULARIZATION"],
        confidence=Confidence(s["CONFIDENCE_BASE"], s["CONFIDENCE_BONUS"]),
        holdout=s["HOLDOUT"],
        seed=s["TRAINING_SEED"],
        threads=s["TRAINING_THREADS"],
    )
