"""Build the configuration of a training run from the settings and the tuning studies."""

import logging
from dataclasses import fields

from django.conf import settings
from django.db.models import Q

from engine.bundle.index_files import IndexConfig
from engine.data.confidence import ConfidenceWeights
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models import FAMILIES
from engine.models.ials import IALS
from engine.training import TrainingConfig
from engine.tuning.first_night import default_candidates
from recommendations.models import TuningStudy

logger = logging.getLogger(__name__)
AUTO = "auto"  # the family, if the training run is to choose it


def index_config() -> IndexConfig:
    """Return how the next version indexes its vectors."""
    return IndexConfig(settings.MUSICREC["INDEX"], settings.MUSICREC["INDEX_ABOVE"])


def training_config(ensemble: EnsembleConfig | None = None) -> TrainingConfig:
    """Return the configuration of the next training run.

    Without `ensemble`, the tuned one is used, and without a tuned one that of the settings. If these leave the family
    to the training run, it chooses among candidates.
    """
    options, decided = settings.MUSICREC, ensemble or tuned_ensemble()
    return TrainingConfig(
        ensemble=decided or ensemble_from_settings(),
        candidates=() if decided or options["FAMILY"] != AUTO else _candidates(),
        split=options["SPLIT"],
        holdout=options["HOLDOUT"],
        question=options["QUESTION"],
        seed=options["TRAINING_SEED"],
        threads=options["TRAINING_THREADS"],
    )


def _candidates() -> tuple[EnsembleConfig, ...]:
    return ensemble_from_settings(), *default_candidates(settings.MUSICREC["QUESTION"])


def tuned_ensemble() -> EnsembleConfig | None:
    """Return the ensemble of the study in use, None if there is none."""
    study = study_in_use()
    return EnsembleConfig.from_dict(study.recipe) if study and study.recipe else None


def study_in_use() -> TuningStudy | None:
    """Return the newest study whose version was published, by the gate or by an operator.

    None if there is no such study, if its ensemble cannot be read, or if MUSICREC_USE_TUNED is off.
    """
    if not settings.MUSICREC["USE_TUNED"]:
        return None
    went_into_service = Q(status=TuningStudy.Status.ADOPTED) | Q(artifact__published_at__isnull=False)
    study = TuningStudy.objects.filter(went_into_service).order_by("-pk").first()
    if study is None or not study.recipe:
        return None
    try:
        EnsembleConfig.from_dict(study.recipe)
    except ValueError as error:  # a study of another release must not stop the nightly training
        logger.warning("tuning study=%s is ignored, its ensemble cannot be read: %s", study, error)
        return None
    return study


def ensemble_from_settings() -> EnsembleConfig:
    """Return an ensemble of the one component that the settings describe.

    Settings that are not hyperparameters of the chosen family are ignored. If the training run chooses the family, this
    is what it takes where there are too few listeners to choose by.
    """
    options = settings.MUSICREC
    family = IALS if options["FAMILY"] == AUTO else FAMILIES[options["FAMILY"]]
    accepted = {field.name for field in fields(family)}
    hyperparameters = {"factors": options["FACTORS"], "iterations": options["ITERATIONS"]}
    if options["REGULARIZATION"]:
        name = "regularization_ratio" if "regularization_ratio" in accepted else "regularization"
        hyperparameters[name] = options["REGULARIZATION"]
    trainer = family(**{name: value for name, value in hyperparameters.items() if name in accepted})
    if family.own_tracks_only:  # the settings describe confidences to learn from
        return EnsembleConfig((ComponentConfig(trainer, family.default_confidence),))
    confidence = ConfidenceWeights(
        base=options["CONFIDENCE_BASE"],
        bonus=options["CONFIDENCE_BONUS"],
        liked=options["CONFIDENCE_LIKED"],
        transform=options["CONFIDENCE_TRANSFORM"],
        scale=options["CONFIDENCE_SCALE"],
        half_life=options["CONFIDENCE_HALF_LIFE"],
        added=options["CONFIDENCE_ADDED"],
        shared=options["CONFIDENCE_SHARED"],
        skipped=options["CONFIDENCE_SKIPPED"],
        disliked=options["CONFIDENCE_DISLIKED"],
    )
    return EnsembleConfig((ComponentConfig(trainer, confidence),))
