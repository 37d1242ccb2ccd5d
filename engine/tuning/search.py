"""Search for the best ensemble: the families take turns, then the best of them are blended."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.data.plays import InsufficientPlays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import EnsembleConfig
from engine.evaluation.questions import NEW
from engine.tuning.ensemble_selection import select_ensemble
from engine.tuning.space import search_shares, search_space
from engine.tuning.trial_runner import Trial, TrialRunner
from engine.tuning.validation_metric import ValidationMetric

if TYPE_CHECKING:
    from engine.tuning.family_search import FamilySearch

BLEND_SHARE = 0.2  # of the time, reserved for the blend


@dataclass(frozen=True)
class TunedEnsemble:
    """The result of a search.

    Attributes:
        ensemble: the best ensemble of the search.
        score: its NDCG@10 on the plays it was chosen on.
        trials: all trials, those of an interrupted search first.
        best_scores: the best score of each family.
    """

    ensemble: EnsembleConfig
    score: float
    trials: tuple[Trial, ...]
    best_scores: dict[str, float] = field(default_factory=dict)


def tune(
    past: UserItemPairs,
    future: UserItemPairs,
    shape: tuple[int, int],
    *,
    seconds: float,
    question: str = NEW,
    initial: EnsembleConfig | None = None,
    previous_trials: Sequence[Trial] = (),
    seed: int = 2009,
    threads: int = 0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TunedEnsemble:
    """Search for `seconds`. Each family has at least one trial, however short the time.

    Args:
        past: the pairs to fit on.
        future: the pairs that were held out, to score on.
        shape: (users, items).
        seconds: how long to search.
        question: what the ensemble is chosen for, one of `engine.evaluation.questions.QUESTIONS`.
        initial: the ensemble in service; its components are tried first.
        previous_trials: trials of an interrupted search, which continues from them without repeating them.
        seed: of the models, the search and the sample of users.
        threads: 0 for all cores.
        on_trial: called after each trial, so that it can be stored.
        progress: called with the seconds spent and their total.

    Raises:
        InsufficientPlays: there are no plays to learn from or to score on, or no family could be fitted.
    """
    from engine.tuning.family_search import FamilySearch  # loads Optuna, which only a search needs

    if not len(past):
        raise InsufficientPlays("there are no plays to learn from; import plays first")
    metric = ValidationMetric.from_pairs(past, future, shape, seed, threads, question)
    runner = TrialRunner(past, shape, metric, seed, threads)
    searches = {family: FamilySearch(family, search_space(family, past), seed) for family in search_shares(question)}
    for trial in previous_trials:
        if search := searches.get(trial.component.trainer.family):
            search.record(trial)
    for component in initial.components if initial else ():
        if search := searches.get(component.trainer.family):
            search.enqueue(component)

    started = time.perf_counter()
    trial_deadline = started + seconds * (1 - BLEND_SHARE)
    trials = list(previous_trials)
    while search := _choose_search(searches.values(), trial_deadline - time.perf_counter()):
        trial = runner.run_trial(search.suggest(), _leader_score(searches.values()))
        search.record(trial)
        trials.append(trial)
        on_trial(trial)
        progress(min(int(time.perf_counter() - started), int(seconds)), int(seconds))

    trials_by_family = [trial for search in searches.values() for trial in search.trials]
    ensemble, score = select_ensemble(runner, trials_by_family, started + seconds)
    progress(int(seconds), int(seconds))
    best_trials = {family: search.best for family, search in searches.items()}
    best_scores = {family: round(t.score, 5) for family, t in best_trials.items() if t and t.score is not None}
    return TunedEnsemble(ensemble, round(score, 5), tuple(trials), best_scores)


def _choose_search(searches: Collection[FamilySearch], seconds_left: float) -> FamilySearch | None:
    """Choose the family that has used the least of its share of the time; None when the time is up.

    Families without a trial come first, even after the time is up. Others are considered only if they are not finished
    and another trial would end in time.
    """
    leader_score = _leader_score(searches)

    def takes_part(search: FamilySearch) -> bool:
        if search.is_finished():
            return False
        return not search.trials or float(np.median([trial.seconds for trial in search.trials])) < seconds_left

    return min(
        filter(takes_part, searches),
        key=lambda search: (bool(search.trials), search.seconds / search.time_share(leader_score)),
        default=None,
    )


def _leader_score(searches: Collection[FamilySearch]) -> float:
    return max((search.best.score or 0.0 for search in searches if search.best), default=0.0)
