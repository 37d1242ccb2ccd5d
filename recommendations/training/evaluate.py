"""Evaluate an ensemble on the recorded plays, held out in any of the ways that the engine offers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.conf import settings

from engine.bundle.versions import LOAD_ERRORS
from engine.data.id_map import IdMap
from engine.ensemble import EnsembleConfig
from engine.pipeline import POLICIES, Policy
from engine.training import ProgressCallback, evaluate_on_holdout
from recommendations.training.artifacts import ensemble_in_service
from recommendations.training.config import training_config
from recommendations.training.restrictions import load_restrictions
from recommendations.training.run import read_plays
from recommendations.version_store import version_store
from tracks.features import load_content_features, load_track_features
from tracks.selectors import load_track_ids


class CannotEvaluate(Exception):
    """The version does not exist, its ensemble cannot be read, or there are no plays."""


def load_ensemble(version: str | None) -> EnsembleConfig:
    """Return the ensemble of a version.

    Without a version, return that of the one in service; without one in service, the tuned one or that of the settings,
    even if the next nightly run will choose among several.

    Raises:
        CannotEvaluate: the version does not exist, or its ensemble cannot be read.
    """
    if version is None:
        return ensemble_in_service() or training_config().ensemble
    try:
        return EnsembleConfig.from_dict(version_store().manifest(version)["config"])
    except FileNotFoundError as error:
        raise CannotEvaluate(f"version {version} cannot be evaluated: its files do not exist") from error
    except (*LOAD_ERRORS, KeyError) as error:
        reason = f"{error} is missing in its manifest" if isinstance(error, KeyError) else error
        raise CannotEvaluate(f"version {version} cannot be evaluated: {reason}") from error


def evaluate_ensemble(
    ensemble: EnsembleConfig,
    *,
    split: str,
    holdout: float,
    question: str,
    ks: Sequence[int],
    max_listeners: int | None,
    policies: Mapping[str, Policy] = POLICIES,
    trial: Policy | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Return the report of an ensemble, next to most popular and the ensemble in service.

    All are fitted on the past that `split` leaves and evaluated on the rest. Nothing is stored or published.

    Args:
        ensemble: the models to fit.
        split: one of `engine.data.split.SPLITTERS`.
        holdout: the share of plays held out.
        question: the decisive one, one of `engine.evaluation.questions.QUESTIONS`.
        ks: cut-offs of the metrics.
        max_listeners: evaluate a sample of this many listeners; None for all.
        policies: those in use, by which all are evaluated.
        trial: a policy that is tried with the ensemble, in a column of its own.
        progress: called with the stage, the steps done and the steps in all.

    Raises:
        CannotEvaluate: there are no plays, or the policy that is tried answers no question about listeners.
    """
    if trial is not None and trial.main_source == "similar":
        raise CannotEvaluate(f"policy {trial.label} answers tracks, not listeners, and cannot be evaluated")
    plays = read_plays(progress)
    if not len(plays):
        raise CannotEvaluate("there are no plays to evaluate on; import plays first")
    in_service, items = ensemble_in_service(), IdMap.from_ids(load_track_ids())
    evaluation = evaluate_on_holdout(
        plays,
        items,
        replace(training_config(ensemble), split=split, holdout=holdout, question=question),
        features=load_track_features(items.ids),
        content=load_content_features(items.ids),
        in_service=in_service if in_service != ensemble else None,  # no second column for the same one
        ks=ks,
        max_users=max_listeners,
        cold_below=settings.MUSICREC["COLD_BELOW"],
        restrictions=load_restrictions(),
        policies=policies,
        trial=trial,
        progress=progress,
    )
    return evaluation.report
