"""The settings, as the engine wants them."""

import logging
from dataclasses import fields

from django.conf import settings
from django.db.models import Q

from engine.bundle.index_files import IndexConfig
from engine.data.confidence import ConfidenceWeights
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models import FAMILIES
from engine.training import TrainingConfig
from recommendations.models import TuningStudy

logger = logging.getLogger(__name__)


def index_config() -> IndexConfig:
    """Of the next version that is written."""
    return IndexConfig(settings.MUSICREC["INDEX"], settings.MUSICREC["INDEX_ABOVE"])


def training_config(recipe: EnsembleConfig | None = None) -> TrainingConfig:
    """With `recipe`, else with what tuning found and the gate let pass, else with what the settings say."""
    s = settings.MUSICREC
    return TrainingConfig(
        ensemble=recipe or tuned_ensemble() or ensemble_from_settings(),
        split=s["SPLIT"],
        holdout=s["HOLDOUT"],
        seed=s["TRAINING_SEED"],
        threads=s["TRAINING_THREADS"],
    )


def tuned_ensemble() -> EnsembleConfig | None:
    """Of the newest study whose recipe went into service, by the gate or by hand; None without one, or where settings
    come first."""
    if not settings.MUSICREC["USE_TUNED"]:
        return None
    in_service = Q(status=TuningStudy.Status.ADOPTED) | Q(artifact__published_at__isnull=False)
    adopted = TuningStudy.objects.filter(in_service).order_by("-pk").first()
    try:
        return EnsembleConfig.from_dict(adopted.recipe) if adopted and adopted.recipe else None
    except ValueError as error:  # a study of another release must not keep the night from training
        logger.warning("tuning study=%s is passed over, its recipe cannot be read: %s", adopted, error)
        return None


def ensemble_from_settings() -> EnsembleConfig:
    """One part; what its family does not have does not matter."""
    s = settings.MUSICREC
    family = FAMILIES[s["FAMILY"]]
    wanted = {"factors": s["FACTORS"], "iterations": s["ITERATIONS"], "regularization": s["REGULARIZATION"]}
    known = {field.name for field in fields(family)}
    confidence = ConfidenceWeights(
        base=s["CONFIDENCE_BASE"],
        bonus=s["CONFIDENCE_BONUS"],
        liked=s["CONFIDENCE_LIKED"],
        transform=s["CONFIDENCE_TRANSFORM"],
        scale=s["CONFIDENCE_SCALE"],
        half_life=s["CONFIDENCE_HALF_LIFE"],
        added=s["CONFIDENCE_ADDED"],
        shared=s["CONFIDENCE_SHARED"],
        skipped=s["CONFIDENCE_SKIPPED"],
        disliked=s["CONFIDENCE_DISLIKED"],
    )
    return EnsembleConfig((ComponentConfig(family(**{n: v for n, v in wanted.items() if n in known}), confidence),))
