"""One family's trials, and where to look next: a tree-structured Parzen estimator (Optuna), and steps from the best."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.ensemble import ComponentConfig
from engine.models.search_space import NumberRange, SearchSpace
from engine.tuning.space import nearby, part_at, point_of
from engine.tuning.trial_runner import Trial

_BEHIND = 0.75  # of the leader's score: a family that stays below after a few trials gets no more of the time
_FEW = 3
_REPEATS = 20  # guesses at something new; a resumed estimator begins with what it said before
_EXPLORED = 6  # trials of a family before it is searched near its best
_NEAR_THE_BEST = 0.6  # of the later ones: the good regions are narrow, and defaults lie close to them


@dataclass
class FamilySearch:
    """One family's trials, and where to look next."""

    family: str
    space: SearchSpace
    seed: int
    trials: list[Trial] = field(default_factory=list)

    def __post_init__(self) -> None:
        import optuna  # only a tuning process needs it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=self.seed, n_startup_trials=_EXPLORED, multivariate=True)
        self.rng = np.random.default_rng(self.seed)
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.distributions = {name: _distribution(dimension) for name, dimension in self.space.items()}
        self.asked: list[ComponentConfig] = []
        self.asked.append(part_at(self.family, {}))

    @property
    def best(self) -> Trial | None:
        return max((t for t in self.trials if t.score is not None), key=lambda t: t.score or 0.0, default=None)

    @property
    def seconds(self) -> float:
        return sum(t.seconds for t in self.trials)

    def first(self, part: ComponentConfig) -> None:
        self.asked.append(part)

    def next(self) -> ComponentConfig:
        """What has not been tried: what was asked for, then near the best, then wherever the estimator points."""
        while self.asked:
            if not self._tried(part := self.asked.pop()):
                return part
        for _ in range(_REPEATS):
            if not self._tried(part := self._guess()):
                break
        return part

    def _tried(self, part: ComponentConfig) -> bool:
        return any(trial.component == part for trial in self.trials)

    def _guess(self) -> ComponentConfig:
        near = self.best and point_of(self.best.component, self.space)
        if near and len(self.trials) >= _EXPLORED and self.rng.random() < _NEAR_THE_BEST:
            return part_at(self.family, nearby(near, self.space, self.rng))
        return part_at(self.family, self.study.ask(self.distributions).params)

    def over(self, leader: float) -> bool:
        """Whether another trial is a waste: nothing to vary, cannot run, or far behind."""
        if not self.trials or any(not self._tried(part) for part in self.asked):
            return False
        if not self.space or self.best is None:
            return True
        return len(self.trials) >= _FEW and (self.best.score or 0.0) < _BEHIND * leader

    def learn(self, trial: Trial) -> None:
        import optuna

        self.trials.append(trial)
        point = point_of(trial.component, self.space)
        if point and trial.score is not None:
            told = optuna.trial.create_trial(params=point, distributions=self.distributions, value=trial.score)
            self.study.add_trial(told)


def _distribution(dimension: Any) -> Any:
    import optuna

    if isinstance(dimension, NumberRange):
        if isinstance(dimension.low, int) and isinstance(dimension.high, int) and not dimension.log:
            return optuna.distributions.IntDistribution(dimension.low, dimension.high)
        return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return optuna.distributions.CategoricalDistribution(dimension.values)
