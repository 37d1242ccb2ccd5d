"""The search within one family: a tree-structured Parzen estimator (Bergstra et al. 2011), and steps from the best.

Importing this module loads Optuna. Serving processes must not, so `tune` imports it when a search begins.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna

from engine.ensemble import ComponentConfig
from engine.models import FAMILIES
from engine.models.search_space import Dimension, NumberRange, SearchSpace
from engine.tuning.space import build_component, find_point, perturb_point
from engine.tuning.trial_runner import Trial

_LIKELY_RECENCY = 1.0
_EXPLORATION_TRIALS = 6  # trials of a family before it is searched near its best, and its share depends on its score
_FOCUS = 6.0  # a family with 90 % of the leader's score gets 53 % of its share of the time, one with half of it 2 %
_LOCAL_SHARE = 0.6  # of the later trials: the good regions are narrow, and the defaults lie close to them
_MAX_SUGGESTIONS = 20  # a resumed estimator starts its random sequence anew, and suggests what has been tried

optuna.logging.set_verbosity(optuna.logging.WARNING)  # every study would log a line


class FamilySearch:
    """The search within one family: its trials so far, and the choice of the next one."""

    def __init__(self, family: str, space: SearchSpace, seed: int) -> None:
        self.family = family
        self.space = space
        self.trials: list[Trial] = []
        # Where listeners move on quickly, recency makes the greatest difference, so each family is tried with it too.
        self._queue = [build_component(family, {"recency": _LIKELY_RECENCY})] if "recency" in space else []
        self._queue.append(build_component(family, {}))
        self._rng = np.random.default_rng(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `multivariate` is experimental
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_EXPLORATION_TRIALS, multivariate=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._distributions = {name: _to_distribution(dimension) for name, dimension in space.items()}

    @property
    def best(self) -> Trial | None:
        scored = (trial for trial in self.trials if trial.score is not None)
        return max(scored, key=lambda trial: trial.score or 0.0, default=None)

    @property
    def seconds(self) -> float:
        return sum(trial.seconds for trial in self.trials)

    def enqueue(self, component: ComponentConfig) -> None:
        """Add a component to try before those that were enqueued earlier, and before the family's defaults."""
        self._queue.append(component)

    def suggest(self) -> ComponentConfig:
        """Return the next component: an enqueued one, a step from the best one, or the estimator's suggestion."""
        while self._queue:
            if not self._is_tried(component := self._queue.pop()):
                return component
        for _ in range(_MAX_SUGGESTIONS):
            best_point = find_point(self.best.component, self.space) if self.best else None
            if best_point and len(self.trials) >= _EXPLORATION_TRIALS and self._rng.random() < _LOCAL_SHARE:
                point = perturb_point(best_point, self.space, self._rng)
            else:
                point = self._study.ask(self._distributions).params
            component = build_component(self.family, point)
            if not self._is_tried(component):
                break
        return component

    def record(self, trial: Trial) -> None:
        """Learn from a trial, of this search or of one that was interrupted."""
        self.trials.append(trial)
        point = find_point(trial.component, self.space)
        if point and trial.score is not None:
            self._study.add_trial(
                optuna.trial.create_trial(params=point, distributions=self._distributions, value=trial.score)
            )

    def is_finished(self) -> bool:
        """Return whether to stop: there is nothing to vary, or the family cannot be fitted."""
        if not self.trials or not all(self._is_tried(component) for component in self._queue):
            return False
        return not self.space or self.best is None

    def time_share(self, leader_score: float) -> float:
        """Return the share of the time, relative to that of other families; above 0.

        It shrinks for a family that is still behind the leader after its first trials. No family is dropped: in a large
        space the defaults may be far from the best.
        """
        share = FAMILIES[self.family].search_share
        if len(self.trials) < _EXPLORATION_TRIALS or self.best is None or not leader_score:
            return share
        return share * float(max((self.best.score or 0.0) / leader_score, 0.1) ** _FOCUS)

    def _is_tried(self, component: ComponentConfig) -> bool:
        return any(trial.component == component for trial in self.trials)


def _to_distribution(dimension: Dimension) -> Any:
    if not isinstance(dimension, NumberRange):
        return optuna.distributions.CategoricalDistribution(dimension.values)
    if isinstance(dimension.low, int) and isinstance(dimension.high, int) and not dimension.log:
        return optuna.distributions.IntDistribution(dimension.low, dimension.high)
    return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
