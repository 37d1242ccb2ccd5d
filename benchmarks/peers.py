"""Other recommenders on the same matrices: `implicit`, with common and tuned settings, and LensKit if installed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from engine.evaluation.ranking import Scorer
from engine.models.als import ALS
from engine.models.bpr import BPR


@dataclass(frozen=True)
class Peer:
    """A fitted recommender.

    Attributes:
        scorer: scores all tracks for user rows.
        fit_seconds: how long the fit took.
    """

    name: str
    scorer: Scorer
    fit_seconds: float


def fit_implicit_with_tutorial_settings(train: sp.csr_matrix) -> Peer:
    """Fit ALS with 64 factors, regularization 0.01 and a confidence of 4, as most tutorials do."""
    return _fit("implicit ALS, naive", ALS(64, 15, 0.01), train * 4)


def fit_implicit_bpr(train: sp.csr_matrix) -> Peer:
    return _fit("implicit BPR, its defaults", BPR(), train)


def tune_implicit(train: sp.csr_matrix, evaluate: Callable[[Scorer], float], seconds: float, seed: int = 0) -> Peer:
    """Search for the best ALS with Optuna for so many seconds.

    Args:
        train: CSR float32 (users, items).
        evaluate: returns the accuracy of a scorer on the validation data.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def fit_als(parameters: dict[str, float]) -> Peer:
        trainer = ALS(int(parameters["factors"]), int(parameters["iterations"]), parameters["regularization"])
        return _fit("implicit ALS, tuned", trainer, train * parameters["alpha"])

    def objective(trial: optuna.Trial) -> float:
        parameters = {
            "factors": trial.suggest_categorical("factors", [32, 64, 128, 256]),
            "iterations": trial.suggest_int("iterations", 5, 25),
            "regularization": trial.suggest_float("regularization", 1e-3, 300, log=True),
            "alpha": trial.suggest_float("alpha", 1, 200, log=True),
        }
        return evaluate(fit_als(parameters).scorer)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, timeout=seconds)
    return fit_als(study.best_params)


def fit_lenskit(train: sp.csr_matrix) -> Peer | None:
    """Fit the implicit ALS of LensKit with its defaults; return None if LensKit is not installed."""
    try:
        from lenskit.als import ImplicitMFScorer
        from lenskit.data import from_interactions_df
    except ImportError:
        return None
    import pandas as pd

    rows, columns = train.nonzero()
    data = from_interactions_df(pd.DataFrame({"user_id": rows, "item_id": columns}))
    start = time.perf_counter()
    model = ImplicitMFScorer(embedding_size=64)
    model.train(data)
    seconds = time.perf_counter() - start
    users, items = np.zeros((train.shape[0], 64), np.float32), np.zeros((train.shape[1], 64), np.float32)
    users[model.users.ids().astype(int)] = model.user_embeddings
    items[model.items.ids().astype(int)] = model.item_embeddings
    return Peer("LensKit implicit ALS, its defaults", lambda user_rows: users[user_rows] @ items.T, seconds)


def _fit(name: str, trainer: ALS | BPR, matrix: sp.csr_matrix) -> Peer:
    start = time.perf_counter()
    factors = trainer.fit(sp.csr_matrix(matrix, dtype=np.float32), seed=0).factors
    assert factors is not None
    users, items = factors
    return Peer(name, lambda user_rows: users[user_rows] @ items.T, time.perf_counter() - start)
