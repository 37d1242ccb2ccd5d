"""Measure a recipe on the plays there are, in any of the ways they can be held out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from engine.bundle.versions import LOAD_ERRORS
from engine.data.id_map import IdMap
from engine.ensemble import EnsembleConfig
from engine.training import evaluate_on_holdout
from recommendations.training.artifacts import ensemble_in_service
from recommendations.training.config import training_config
from recommendations.training.run import read_plays
from recommendations.version_store import version_store
from tracks.selectors import load_track_ids

ProgressCallback = Callable[[str, int, int], None]


class CannotEvaluate(Exception):
    """There is no such version, it says nothing of its recipe, or there are no plays."""


def load_ensemble(version: str | None) -> EnsembleConfig:
    """Of a version; without one, of that in service, else what the next night would use. Raises CannotEvaluate."""
    if version is None:
        return ensemble_in_service() or training_config().ensemble
    try:
        return EnsembleConfig.from_dict(version_store().manifest(version)["config"])
    except (*LOAD_ERRORS, KeyError, ValueError) as error:
        raise CannotEvaluate(f"version {version}: its recipe cannot be read ({error!r})") from error


def evaluate_ensemble(
    recipe: EnsembleConfig,
    *,
    split: str,
    holdout: float,
    ks: Sequence[int],
    listeners: int | None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> dict[str, Any]:
    """The report of a recipe, beside most popular and the recipe in service: both fitted on the past that `split`
    leaves, and judged on the rest. Nothing is published or kept. Raises CannotEvaluate without plays."""
    plays = read_plays(progress)
    if not len(plays):
        raise CannotEvaluate("there are no plays to judge on; import plays first")
    return evaluate_on_holdout(
        plays,
        IdMap.from_ids(plays.user),
        IdMap.from_ids(load_track_ids()),
        replace(training_config(recipe), split=split, holdout=holdout),
        in_service=ensemble_in_service(),
        ks=ks,
        max_users=listeners,
        progress=progress,
    )
