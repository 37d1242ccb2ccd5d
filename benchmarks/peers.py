"""Peers on the same matrices: `implicit` as it comes and tuned, LensKit where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from engine.evaluation.ranking import Scorer
from engine.models.als import ALS
from engine.models.bpr import BPR
from engine.models.item_knn import ItemKNN


@dataclass(frozen=True)
class Peer:
    """scores: of user rows · fit_seconds: of the fit that gave them."""

    name: str
    scores: Scorer
    fit_seconds: float


Judge = Callable[[Scorer], float]


def implicit_naive(train: sp.csr_matrix) -> Peer:
    """64 factors, regularisation 0.01, a confidence of 4: the configuration of most tutorials."""
    return _fitted("implicit ALS, naive", ALS(64, 15, 0.01), train * 4)


def implicit_bpr(train: sp.csr_matrix) -> Peer:
    return _fitted("implicit BPR, its defaults", BPR(), train)


def implicit_tuned(train: sp.csr_matrix, judge: Judge, seconds: float, seed: int = 0) -> Peer:
    """By Optuna on the same validation plays, for so many seconds."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: optuna.Trial) -> float:
        return judge(_from(trial.params | _suggested(trial), train).scores)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, timeout=seconds)
    best = _from(study.best_params, train)
    return Peer("implicit ALS, tuned", best.scores, best.fit_seconds)


def lenskit(train: sp.csr_matrix) -> list[Peer]:
    """LensKit's implicit ALS and item-kNN; an empty list where it is not installed."""
    try:
        from lenskit.als import ImplicitMFScorer
        from lenskit.data import from_interactions_df
    except ImportError:
        return []
    import pandas as pd

    rows, columns = train.nonzero()
    data = from_interactions_df(pd.DataFrame({"user_id": rows, "item_id": columns}))
    began = time.perf_counter()
    model = ImplicitMFScorer(embedding_size=64)
    model.train(data)
    seconds = time.perf_counter() - began
    users, items = np.zeros((train.shape[0], 64), np.float32), np.zeros((train.shape[1], 64), np.float32)
    users[model.users.ids().astype(int)] = model.user_embeddings
    items[model.items.ids().astype(int)] = model.item_embeddings
    return [Peer("LensKit implicit ALS, its defaults", lambda u: users[u] @ items.T, seconds)]


def _suggested(trial: optuna.Trial) -> dict[str, float]:  # type: ignore[name-defined]  # noqa: F821
    return {
        "factors": trial.suggest_categorical("factors", [32, 64, 128, 256]),
        "iterations": trial.suggest_int("iterations", 5, 25),
        "regularization": trial.suggest_float("regularization", 1e-3, 300, log=True),
        "alpha": trial.suggest_float("alpha", 1, 200, log=True),
    }


def _from(params: dict[str, float], train: sp.csr_matrix) -> Peer:
    trainer = ALS(int(params["factors"]), int(params["iterations"]), params["regularization"])
    return _fitted("implicit ALS", trainer, train * params["alpha"])


def _fitted(name: str, trainer: ALS | BPR | ItemKNN, matrix: sp.csr_matrix) -> Peer:
    began = time.perf_counter()
    factors = trainer.fit(sp.csr_matrix(matrix, dtype=np.float32), seed=0).factors
    assert factors is not None
    return Peer(name, lambda users: factors[0][users] @ factors[1].T, time.perf_counter() - began)
