"""Train one version: split, fit on the past, evaluate on the future, fit on everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.plays import InsufficientPlays, Plays, user_stamps
from engine.data.split import split_plays
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import EnsembleConfig
from engine.evaluation.bundles import MAX_USERS, Restrictions, evaluate_bundles
from engine.evaluation.questions import NEW, QUESTIONS, empty_report
from engine.fitting import FittedEnsemble, fit_ensemble
from engine.listener_query import COLD_BELOW

ProgressCallback = Callable[[str, int, int], None]
"""Called with a stage, the steps done and their total: "judge" fits on the past, "evaluate" ranks, "fit" fits all."""

MODEL, IN_SERVICE = "model", "in_service"


@dataclass(frozen=True)
class TrainingConfig:
    """The configuration of a training run.

    Attributes:
        ensemble: the models and their weights.
        split: how plays are held out for the report, one of `engine.data.split.SPLITTERS`.
        holdout: the share that is held out, in 0..1.
        question: what the version is chosen for, one of `engine.evaluation.questions.QUESTIONS`.
        seed: of the split, the models and the evaluation.
        threads: 0 for all cores.
    """

    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    split: str = "time"
    holdout: float = 0.2
    question: str = NEW
    seed: int = 2009
    threads: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return what decides the result, JSON-ready. The number of threads does not."""
        return self.ensemble.to_dict() | {
            "split": self.split,
            "holdout": self.holdout,
            "question": self.question,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class TrainedVersion:
    """A trained bundle and its manifest: configuration, report, sizes, seconds, library versions; JSON-ready."""

    bundle: ModelBundle
    manifest: dict[str, Any]


def train(
    plays: Plays,
    track_ids: ArrayLike,
    config: TrainingConfig,
    *,
    version: str,
    in_service: EnsembleConfig | None = None,
    cold_below: int = COLD_BELOW,
    restrictions: Restrictions | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> TrainedVersion:
    """Evaluate a configuration on held-out plays, then fit it on all plays.

    Args:
        plays: all plays.
        track_ids: the catalogue, int64 (items,). A track that nobody played gets zero factors.
        config: what to train.
        version: name of the new version.
        in_service: the ensemble that serves now; evaluated on the same plays if it is a different one.
        cold_below: see `evaluate_bundles`.
        restrictions: see `evaluate_bundles`.
        progress: see `ProgressCallback`.

    Raises:
        InsufficientPlays: there are no plays of these tracks.
    """
    items, users = IdMap.from_ids(track_ids), IdMap.from_ids(plays.user)
    pairs = UserItemPairs.from_plays(plays, users, items)
    if not len(pairs):
        raise InsufficientPlays("there are no plays to learn from; import plays first")

    started = time.perf_counter()
    report = evaluate_on_holdout(
        plays,
        items,
        config,
        in_service=in_service,
        cold_below=cold_below,
        restrictions=restrictions,
        progress=progress,
    )
    evaluated = time.perf_counter()
    fitted = fit_ensemble(
        pairs,
        (len(users), len(items)),
        config.ensemble,
        seed=config.seed,
        threads=config.threads,
        progress=partial(progress, "fit"),
    )
    manifest = {
        "config": config.to_dict(),
        "report": report,
        "fallback": fitted.fallback,
        "plays": len(plays),
        "pairs": len(pairs),
        "plays_from": int(plays.time.min()),
        "plays_to": int(plays.time.max()),
        "seconds": {"judge": round(evaluated - started, 3), "fit": round(time.perf_counter() - evaluated, 3)},
        "libraries": {name: _library_version(name) for name in ("numpy", "scipy", "implicit", "numba")},
    }
    bundle = _assemble(fitted, pairs, users, items, version=version, user_stamps=user_stamps(plays, users))
    return TrainedVersion(bundle, manifest)


def evaluate_on_holdout(
    plays: Plays,
    items: IdMap,
    config: TrainingConfig,
    *,
    in_service: EnsembleConfig | None = None,
    ks: Sequence[int] = (5, 10, 20),
    max_users: int | None = MAX_USERS,
    cold_below: int = COLD_BELOW,
    restrictions: Restrictions | None = None,
    progress: ProgressCallback = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Hold out part of the plays, fit on the rest, and evaluate what the versions would serve on the held-out part.

    Args:
        plays: all plays.
        items: the catalogue.
        config: what to evaluate, how to split, and the question that decides.
        in_service: another ensemble to compare with.
        ks: cut-offs of the metrics.
        max_users: see `evaluate_bundles`.
        cold_below: see `evaluate_bundles`.
        restrictions: see `evaluate_bundles`.
        progress: see `ProgressCallback`.

    Returns:
        The report of `evaluate_bundles`, whose models are "model", "in_service" and "most_popular", plus "split",
        "holdout" and "algorithm". No models where the split leaves nothing to learn from or to evaluate on.
    """
    split = split_plays(plays, config.split, config.holdout, config.seed)
    users = IdMap.from_ids(split.past.user)
    pairs = UserItemPairs.from_plays(split.past, users, items)
    report: dict[str, Any] = {"split": split.kind, "holdout": config.holdout}
    if not len(pairs) or not len(split.future):
        return report | {"question": config.question, "questions": {name: empty_report() for name in QUESTIONS}}

    ensembles = {MODEL: config.ensemble}
    if in_service is not None and in_service != config.ensemble:
        ensembles[IN_SERVICE] = in_service
    bundles = {}
    for name, ensemble in ensembles.items():
        fitted = fit_ensemble(
            pairs,
            (len(users), len(items)),
            ensemble,
            seed=config.seed,
            threads=config.threads,
            progress=partial(progress, "judge"),
        )
        bundles[name] = _assemble(fitted, pairs, users, items, user_stamps=user_stamps(split.past, users))
    del pairs, fitted  # their memory is free before the evaluation needs its own
    return (
        report
        | {"algorithm": bundles[MODEL].algorithm}
        | evaluate_bundles(
            bundles,
            Plays.concatenate([split.past, split.fold_in_plays]),
            split.future,
            items,
            question=config.question,
            ks=ks,
            seed=config.seed,
            max_users=max_users,
            cold_below=cold_below,
            restrictions=restrictions,
            progress=partial(progress, "evaluate"),
        )
    )


def _assemble(
    fitted: FittedEnsemble,
    pairs: UserItemPairs,
    users: IdMap,
    items: IdMap,
    *,
    version: str | None = None,
    user_stamps: NDArray[np.int64] | None = None,
) -> ModelBundle:
    """Assemble a bundle from an ensemble that was fitted on `pairs`."""
    return assemble_bundle(
        version=version,
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=fitted.ensemble,
        fitted_models=fitted.models,
        users=users,
        user_stamps=user_stamps,
        statistics=PlayStatistics.from_pairs(pairs),
    )


def _library_version(name: str) -> str | None:
    try:
        return installed_version(name)
    except PackageNotFoundError:
        return None
