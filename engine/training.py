"""Train one version: judge the configuration on held-out plays, then fit everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version as library_version
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from engine.bundle import ModelBundle, assemble
from engine.evaluation.report import report
from engine.evaluation.split import split
from engine.ids import IdMap
from engine.matrix import Confidence, confidence_matrix
from engine.models import als, svd
from engine.models.popularity import listeners
from engine.plays import Plays

Progress = Callable[[str, int, int], None]
"""Called with a stage ("judge", "evaluate", "fit"), the steps done and the steps in all."""


@dataclass(frozen=True)
class TrainingConfig:
    """What a version is trained with. threads: 0 for all cores. holdout: share of plays held out for the report."""

    factors: int = 64
    iterations: int = 15
    regularization: float = 0.01
    confidence: Confidence = field(default_factory=Confidence)
    holdout: float = 0.2
    seed: int = 2009
    threads: int = 0

    def parameters(self) -> dict[str, Any]:
        """What decides the result; the number of threads does not."""
        return {k: v for k, v in asdict(self).items() if k != "threads"}


@dataclass(frozen=True)
class Fit:
    """Factors and the family that gave them; `fallback`: why it was not ALS, else None."""

    algorithm: str
    factors: als.Factors
    fallback: str | None = None


@dataclass(frozen=True)
class Trained:
    """manifest: JSON-ready; config, report, sizes, library versions."""

    bundle: ModelBundle
    manifest: dict[str, Any]


def train(
    plays: Plays,
    track_ids: ArrayLike,
    config: TrainingConfig,
    *,
    version: str,
    progress: Progress = lambda stage, done, total: None,
) -> Trained:
    """Train a bundle over all of `track_ids`; a track nobody played is in it with zero factors. Raises ValueError
    where there are no plays of these tracks."""
    items, users = IdMap.of(track_ids), IdMap.of(plays.user)
    matrix = confidence_matrix(plays, users, items, config.confidence)
    if not matrix.nnz:
        raise ValueError("there are no plays to learn from; import plays first")
    judged = judge(plays, users, items, config, progress)
    final = fit(matrix, config, "fit", progress)
    bundle = assemble(
        version=version,
        algorithm=final.algorithm,
        items=items,
        popularity=listeners(matrix),
        item_factors=final.factors[1],
        users=users,
        user_factors=final.factors[0],
        user_stamps=_stamps(plays, users),
        regularization=config.regularization,
        confidence=config.confidence,
    )
    manifest = {
        "config": config.parameters(),
        "report": judged,
        "fallback": final.fallback,
        "plays": len(plays),
        "pairs": int(matrix.nnz),
        "plays_from": int(plays.time.min()),
        "plays_to": int(plays.time.max()),
        "libraries": {name: library_version(name) for name in ("numpy", "scipy", "implicit")},
    }
    return Trained(bundle, manifest)


def judge(plays: Plays, users: IdMap, items: IdMap, config: TrainingConfig, progress: Progress) -> dict[str, Any]:
    """Fit the past, report on the future."""
    kind, past_plays, future_plays = split(plays, config.holdout, config.seed)
    past = confidence_matrix(past_plays, users, items, config.confidence)
    future = confidence_matrix(future_plays, users, items, config.confidence)
    if not past.nnz or not future.nnz:
        return {"split": kind, "listeners": 0}
    fitted = fit(past, config, "judge", progress)
    measured = report(
        past, future, fitted.factors, seed=config.seed, progress=lambda done, total: progress("evaluate", done, total)
    )
    return {"split": kind, "holdout": config.holdout, "algorithm": fitted.algorithm} | measured


def fit(matrix: sp.csr_matrix, config: TrainingConfig, stage: str, progress: Progress) -> Fit:
    """ALS, or truncated SVD where ALS cannot run; the reason is kept."""
    try:
        factors = als.fit(
            matrix,
            factors=config.factors,
            iterations=config.iterations,
            regularization=config.regularization,
            seed=config.seed,
            threads=config.threads,
            on_iteration=lambda done: progress(stage, done, config.iterations),
        )
        return Fit("als", factors)
    except Exception as error:  # whatever stops ALS, the night must still end with a model
        fallback = f"ALS could not run ({type(error).__name__}: {error})"
    fitted = Fit("svd", svd.fit(matrix, factors=config.factors, seed=config.seed), fallback)
    progress(stage, config.iterations, config.iterations)
    return fitted


def _stamps(plays: Plays, users: IdMap) -> NDArray[np.int64]:
    """(interactions, newest UNIX second) of each listener: int64 (users, 2)."""
    rows, _ = users.rows(plays.user)
    newest = np.full(len(users), np.iinfo(np.int64).min)
    np.maximum.at(newest, rows, plays.time)
    return np.stack([np.bincount(rows, minlength=len(users)), newest], axis=1).astype(np.int64)
