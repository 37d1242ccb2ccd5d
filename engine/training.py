"""Train one version: judge the recipe on held-out plays, then fit everything."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as library_version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import PlayStatistics
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.split import Split, split_plays
from engine.data.user_item_pairs import UserItemPairs, binary_matrix, count_listeners
from engine.ensemble import EnsembleConfig
from engine.evaluation.evaluate import MAX_USERS, evaluate
from engine.evaluation.ground_truth import known_users_only
from engine.evaluation.ranking import Scorer
from engine.fitting import FittedEnsemble, fit_ensemble
from engine.retrieval.candidates import Query, personal_score_terms

Progress = Callable[[str, int, int], None]
"""Called with a stage ("judge", "evaluate", "fit"), the steps done and the steps in all."""

MODEL, IN_SERVICE = "model", "in_service"


@dataclass(frozen=True)
class TrainingConfig:
    """What a version is trained with. holdout: share of plays held out for the report, by `split`, one of
    `engine.data.split.SPLITTERS` · threads: 0 for all cores."""

    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    split: str = "time"
    holdout: float = 0.2
    seed: int = 2009
    threads: int = 0

    def to_dict(self) -> dict[str, Any]:
        """What decides the result, JSON-ready; the number of threads does not."""
        return self.ensemble.to_dict() | {"split": self.split, "holdout": self.holdout, "seed": self.seed}


@dataclass(frozen=True)
class TrainedVersion:
    """manifest: JSON-ready; config, report, sizes, seconds, library versions."""

    bundle: ModelBundle
    manifest: dict[str, Any]


def train(
    plays: Plays,
    track_ids: ArrayLike,
    config: TrainingConfig,
    *,
    version: str,
    in_service: EnsembleConfig | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> TrainedVersion:
    """Train a bundle over all of `track_ids`; a track nobody played is in it with zero factors.

    in_service: the recipe that serves now, judged beside a different one on the same plays. Raises ValueError where
    there are no plays of these tracks.
    """
    items, users = IdMap.from_ids(track_ids), IdMap.from_ids(plays.user)
    pairs, shape = UserItemPairs.from_plays(plays, users, items), (len(users), len(items))
    if not len(pairs):
        raise ValueError("there are no plays to learn from; import plays first")
    began = time.perf_counter()
    judged = evaluate_on_holdout(plays, users, items, config, in_service=in_service, progress=progress)
    judging = time.perf_counter()
    fitted = fit_ensemble(
        pairs, shape, config.ensemble, seed=config.seed, threads=config.threads, progress=_stage(progress, "fit")
    )
    seconds = {"judge": round(judging - began, 3), "fit": round(time.perf_counter() - judging, 3)}
    manifest = {
        "config": config.to_dict(),
        "report": judged,
        "fallback": fitted.fallback,
        "plays": len(plays),
        "pairs": len(pairs),
        "plays_from": int(plays.time.min()),
        "plays_to": int(plays.time.max()),
        "seconds": seconds,
        "libraries": {name: _installed(name) for name in ("numpy", "scipy", "implicit", "numba")},
    }
    return TrainedVersion(_bundle(fitted, version, items, users, pairs, _stamps(plays, users)), manifest)


def evaluate_on_holdout(
    plays: Plays,
    users: IdMap,
    items: IdMap,
    config: TrainingConfig,
    *,
    in_service: EnsembleConfig | None = None,
    ks: Sequence[int] = (5, 10, 20),
    max_users: int | None = MAX_USERS,
    progress: Progress = lambda stage, done, total: None,
) -> dict[str, Any]:
    """Fit the past, report on the future: what `examine` gives, and how it was split."""
    parts = split_plays(plays, config.split, config.holdout, config.seed)
    told = {"split": parts.kind, "holdout": config.holdout}
    past, future = (UserItemPairs.from_plays(p, users, items) for p in (parts.past, parts.future))
    if not len(past) or not len(future):
        return told | {"listeners": 0, "models": {}, "differences": {}}
    recipes = {MODEL: config.ensemble}
    if in_service is not None and in_service != config.ensemble:
        recipes[IN_SERVICE] = in_service
    rankers: dict[str, Scorer] = {}
    shape = (len(users), len(items))
    for name, recipe in recipes.items():
        fitted = fit_ensemble(
            past, shape, recipe, seed=config.seed, threads=config.threads, progress=_stage(progress, "judge")
        )
        told |= {"algorithm": fitted.ensemble.algorithm} if name == MODEL else {}
        rankers[name] = _of_new_users(fitted, parts, users, items) if len(parts.fold_in_plays) else fitted.scorer()
    before = past if not len(parts.fold_in_plays) else UserItemPairs.from_plays(parts.fold_in_plays, users, items)
    known = binary_matrix(before, shape)
    return told | evaluate(
        known,
        known_users_only(known, binary_matrix(future, shape)),
        rankers,
        ks=ks,
        seed=config.seed,
        max_users=max_users,
        progress=_stage(progress, "evaluate"),
    )


def _bundle(
    fitted: FittedEnsemble,
    version: str | None,
    items: IdMap,
    users: IdMap,
    pairs: UserItemPairs,
    stamps: NDArray[np.int64] | None,
) -> ModelBundle:
    return assemble_bundle(
        version=version,
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=fitted.ensemble,
        fitted_models=fitted.models,
        users=users,
        user_stamps=stamps,
        statistics=PlayStatistics.from_pairs(pairs),
    )


def _of_new_users(fitted: FittedEnsemble, parts: Split, users: IdMap, items: IdMap) -> Scorer:
    """Scores of listeners whom the model has not seen, by the very path that serves them."""
    bundle = _bundle(fitted, None, items, users, UserItemPairs.from_plays(parts.past, users, items), None)
    rows, _ = users.rows(parts.fold_in_plays.user)
    order = np.lexsort((parts.fold_in_plays.track, rows))  # by track too, in which order pairs are soonest made
    given, ends = parts.fold_in_plays.where(order), np.searchsorted(rows[order], np.arange(len(users) + 1))

    def scores(asked: NDArray[np.int64]) -> NDArray[np.float32]:
        page = np.full((len(asked), len(items)), -np.inf, np.float32)
        for place, user in enumerate(asked):
            theirs = given.where(slice(ends[user], ends[user + 1]))
            with bundle.workspaces.borrow() as marks:
                answer = personal_score_terms(bundle, Query(limit=0, past=UserItemPairs.from_listener(theirs)), marks)
            if answer is not None:
                page[place] = answer.all_scores(bundle)
        return page

    return scores


def _stage(progress: Progress, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(stage, done, total)


def _stamps(plays: Plays, users: IdMap) -> NDArray[np.int64]:
    """(interactions, newest UNIX second) of each listener: int64 (users, 2)."""
    rows, _ = users.rows(plays.user)
    newest = np.full(len(users), np.iinfo(np.int64).min)
    np.maximum.at(newest, rows, plays.time)
    return np.stack([np.bincount(rows, minlength=len(users)), newest], axis=1).astype(np.int64)


def _installed(library: str) -> str | None:
    try:
        return library_version(library)
    except PackageNotFoundError:
        return None
