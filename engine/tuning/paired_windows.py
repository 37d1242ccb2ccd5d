"""Compare two ensembles on several short windows of the newest plays, where one window has too few listeners to tell.

In each window both are fitted on everything before it. Fitting several times and asking about the next few days each
time made the standard error of the difference a third smaller than one window did (`benchmarks.gate`).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from engine.data.id_map import IdMap
from engine.data.plays import InsufficientPlays, Plays
from engine.data.split import split_plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import EnsembleConfig
from engine.evaluation.questions import NEW
from engine.fitting import fit_ensemble
from engine.tuning.validation_metric import ValidationMetric

WINDOWS = 4


def compare_in_windows(
    plays: Plays,
    items: IdMap,
    challenger: EnsembleConfig,
    in_service: EnsembleConfig,
    *,
    holdout: float,
    question: str = NEW,
    seed: int = 2009,
    threads: int = 0,
) -> list[dict[str, float]]:
    """Cut the newest plays into windows, and evaluate two ensembles in each of them.

    Compared are the rankings of the ensembles for all listeners with a past, without what serving adds to them: other
    policies for cold listeners, popular tracks at the end of short lists, and refusals.

    Args:
        plays: all plays.
        items: the catalogue.
        challenger: the ensemble that may replace the one in service.
        in_service: the ensemble in service.
        holdout: the share of the plays that all windows have together.
        question: one of `engine.evaluation.questions.QUESTIONS`.
        seed: of the models.
        threads: 0 for all cores.

    Returns:
        For each window `{"listeners", "mean", "standard_error"}` of the difference in NDCG@10. Empty if the plays
        cannot be split by time; a window in which nobody can be judged is left out.
    """
    split = split_plays(plays, "time", holdout, seed)
    if split.kind != "time":
        return []
    newest_times = np.sort(split.future.time)
    starts = np.unique(newest_times[np.arange(WINDOWS) * len(newest_times) // WINDOWS])
    windows = []
    for start, end in pairwise([*starts.tolist(), int(newest_times[-1]) + 1]):
        past_plays, future_plays = (
            plays.where(plays.time < start),
            plays.where((start <= plays.time) & (plays.time < end)),
        )
        users = IdMap.from_ids(past_plays.user)
        shape = (len(users), len(items))
        past, future = (UserItemPairs.from_plays(part, users, items) for part in (past_plays, future_plays))
        try:
            metric = ValidationMetric.from_pairs(past, future, shape, seed, threads, question)
        except InsufficientPlays:
            continue
        new, old = (
            metric.ndcg_per_user(fit_ensemble(past, shape, ensemble, seed=seed, threads=threads).build_scorer())
            for ensemble in (challenger, in_service)
        )
        difference, listeners = new - old, len(new)
        if listeners > 1:
            error = float(difference.std(ddof=1) / np.sqrt(listeners))
            windows.append({"listeners": listeners, "mean": float(difference.mean()), "standard_error": error})
    return windows
