"""The search: families take turns, then the best are blended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import EnsembleConfig
from engine.models import FAMILIES
from engine.tuning.ensemble_selection import select_ensemble
from engine.tuning.family_search import FamilySearch
from engine.tuning.space import search_shares, space_of
from engine.tuning.trial_runner import Trial, TrialRunner
from engine.tuning.trials import TunedEnsemble
from engine.tuning.validation_metric import ValidationMetric

BLEND_SHARE = 0.2  # of the time, kept for the blend


def tune(
    past: UserItemPairs,
    future: UserItemPairs,
    shape: tuple[int, int],
    *,
    seconds: float,
    initial: EnsembleConfig | None = None,
    previous_trials: Sequence[Trial] = (),
    seed: int = 2009,
    threads: int = 0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TunedEnsemble:
    """Search for `seconds`, then blend. Each family has at least one trial, however short the time.

    start: its parts are tried first (the recipe in service) · known: trials of an interrupted search, not tried again ·
    on_trial: called after each trial, to keep it · progress: seconds spent, of all. Raises ValueError where there is
    nothing to learn from or nobody to judge on.
    """
    if not len(past):
        raise ValueError("there are no plays to learn from; import plays first")
    bench = TrialRunner(past, shape, ValidationMetric.from_pairs(past, future, shape, seed, threads), seed, threads)
    searches = {family: FamilySearch(family, space_of(family, past), seed) for family in search_shares()}
    for trial in previous_trials:
        searches[trial.component.trainer.family].learn(trial) if trial.component.trainer.family in searches else None
    for part in initial.components if initial else ():
        if part.trainer.family in searches:
            searches[part.trainer.family].first(part)
    began, deadline = time.perf_counter(), time.perf_counter() + seconds * (1 - BLEND_SHARE)
    trials = list(previous_trials)
    for search in _turns(searches, deadline):
        trial = bench.run_trial(search.next(), leader_score=_leader(searches))
        search.learn(trial)
        trials.append(trial)
        on_trial(trial)
        progress(min(int(time.perf_counter() - began), int(seconds)), int(seconds))
    recipe, score = select_ensemble(bench, (t for s in searches.values() for t in s.trials), began + seconds)
    progress(int(seconds), int(seconds))
    best_of = {f: round(s.best.score, 5) for f, s in searches.items() if s.best and s.best.score is not None}
    return TunedEnsemble(recipe, round(score, 5), tuple(trials), best_of)


def _turns(searches: dict[str, FamilySearch], deadline: float) -> Iterator[FamilySearch]:
    """Whose turn it is: the family that has had least of its share, among those worth it that end in time."""
    while True:
        leader, left = _leader(searches), deadline - time.perf_counter()
        open_ = [s for s in searches.values() if not s.over(leader) and (not s.trials or _expected(s) < left)]
        open_ = [s for s in open_ if not s.trials or left > 0]
        if not open_:
            return
        yield min(open_, key=lambda s: (bool(s.trials), s.seconds / FAMILIES[s.family].search_share))


def _expected(search: FamilySearch) -> float:
    return float(np.median([t.seconds for t in search.trials]))


def _leader(searches: dict[str, FamilySearch]) -> float:
    return max((s.best.score or 0.0 for s in searches.values() if s.best), default=0.0)
