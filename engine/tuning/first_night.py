"""Choose an ensemble without a search: try a few families with sensible settings, and take the best of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap
from engine.data.plays import InsufficientPlays, Plays
from engine.data.sample import sample_listeners
from engine.data.split import split_plays
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.questions import NEW
from engine.fitting import ComponentScorer, blend_scorer
from engine.models import FAMILIES
from engine.models.base import CannotTrain
from engine.models.popularity import Popularity
from engine.tuning.space import build_component
from engine.tuning.trial_runner import TrialRunner
from engine.tuning.validation_metric import ValidationMetric

MIN_LISTENERS = 50  # with fewer, the best of several families is the luckiest
MAX_LISTENERS = 1_000  # enough to tell families apart, and ranking for more takes longer than fitting
MAX_PAIRS = 3_000_000  # with more, families are compared on a sample of the listeners
REQUIRED_ERRORS = 2.0  # by so many standard errors another ensemble must beat the one in service
_CANDIDATE_FAMILIES = ("rp3beta", "item_knn", "sparse_autoencoder", "repeat", "popularity")


def default_candidates(question: str = NEW) -> tuple[EnsembleConfig, ...]:
    """Return what to try besides the factors of `ials`: families that are fitted fast, with their usual settings.

    Args:
        question: one of `engine.evaluation.questions.QUESTIONS`; a family that offers a listener's own tracks is tried
            where these count.
    """
    families = [f for f in _CANDIDATE_FAMILIES if question != NEW or not FAMILIES[f].own_tracks_only]
    return tuple(EnsembleConfig((build_component(family, {}),)) for family in families)


@dataclass(frozen=True)
class TriedEnsemble:
    """An ensemble that was tried.

    Attributes:
        score: NDCG@10; None if it could not be fitted.
        seconds: how long fitting and scoring took.
        note: why it could not be fitted, or was not taken in spite of its score.
    """

    ensemble: EnsembleConfig
    score: float | None
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class ChosenEnsemble:
    """The ensemble that was chosen, and what it was chosen from.

    Attributes:
        reason: one sentence for the operator.
        listeners: how many listeners the scores are the means of.
        split: how the plays were split; "" if nothing was tried.
    """

    ensemble: EnsembleConfig
    reason: str
    listeners: int = 0
    split: str = ""
    tried: tuple[TriedEnsemble, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the choice, ready for JSON."""
        tried = [
            {
                "algorithm": attempt.ensemble.algorithm,
                "recipe": attempt.ensemble.to_dict(),
                "score": attempt.score,
                "seconds": attempt.seconds,
                "note": attempt.note,
            }
            for attempt in self.tried
        ]
        return {"reason": self.reason, "listeners": self.listeners, "split": self.split, "tried": tried}


def choose_ensemble(
    plays: Plays,
    items: IdMap,
    candidates: Sequence[EnsembleConfig],
    *,
    incumbent: EnsembleConfig | None = None,
    split: str = "time",
    holdout: float = 0.2,
    question: str = NEW,
    seed: int = 2009,
    threads: int = 0,
) -> ChosenEnsemble:
    """Fit each candidate on the older plays and choose the one that predicts the newer ones best.

    The plays are split as for an evaluation. If fewer than MIN_LISTENERS listeners can be judged, nothing is tried.

    Args:
        plays: plays on which the choice is not evaluated later.
        items: the catalogue.
        candidates: at least one; the first is chosen if there are too few listeners to tell.
        incumbent: the ensemble in service. It stays unless another is better by more than REQUIRED_ERRORS standard
            errors of the paired difference.
        split: a key of `engine.data.split.SPLITTERS`; `new_users` becomes `ratio`, because only listeners are scored
            that the fitted models have seen.
        holdout: the share to hold out.
        question: one of `engine.evaluation.questions.QUESTIONS`, whose NDCG@10 decides.
        seed: of the splits, the samples and the models.
        threads: 0 for all cores.
    """
    if incumbent is not None and incumbent not in candidates:
        candidates = [*candidates, incumbent]
    default = incumbent or candidates[0]
    sample = sample_listeners(plays, MAX_PAIRS, seed)
    users, metric = IdMap.from_ids(sample.user), None
    shape = (len(users), len(items))
    parts = split_plays(sample, "ratio" if split == "new_users" else split, holdout, seed)
    past, future = (UserItemPairs.from_plays(part, users, items) for part in (parts.past, parts.future))
    with suppress(InsufficientPlays):
        metric = ValidationMetric.from_pairs(past, future, shape, seed, threads, question, MAX_LISTENERS)
    listeners = len(metric.ground_truth.users) if metric else 0
    if metric is None or listeners < MIN_LISTENERS:
        return ChosenEnsemble(
            default,
            f"{default.algorithm}, without trying others: {listeners} listeners can be judged, and telling which is "
            f"better takes {MIN_LISTENERS}",
            listeners,
        )

    trials = _Trials(TrialRunner(past, shape, metric, seed, threads))
    for ensemble in candidates:
        trials.run(ensemble)
    trials.run_blend_of_best()
    return _choose(trials, default, incumbent, parts.kind)


class _Trials:
    """The ensembles that were tried on one split, with the score of each listener."""

    def __init__(self, runner: TrialRunner) -> None:
        self.runner = runner
        self.tried: list[TriedEnsemble] = []
        self.scores: dict[EnsembleConfig, NDArray[np.float64]] = {}
        self.blend: EnsembleConfig | None = None
        self._fitted: dict[ComponentConfig, ComponentScorer] = {}

    def run(self, ensemble: EnsembleConfig) -> None:
        started, score, note = time.perf_counter(), None, ""
        try:
            for component in ensemble.components:
                if component not in self._fitted:
                    self._fitted[component] = self.runner.fit(component)
        except (CannotTrain, MemoryError, ValueError, ArithmeticError) as error:
            note = f"{type(error).__name__}: {error}"[:500]
        else:
            scorers = [self._fitted[component] for component in ensemble.components]
            self.scores[ensemble] = self.runner.metric.ndcg_per_user(blend_scorer(scorers, ensemble.weights))
            score = round(float(self.scores[ensemble].mean()), 5)
        best = self._best_components()  # the neighbours of a large catalogue take gigabytes, so keep no others
        self._fitted = {component: scorer for component, scorer in self._fitted.items() if component in best}
        self.tried.append(TriedEnsemble(ensemble, score, round(time.perf_counter() - started, 3), note))

    def run_blend_of_best(self) -> None:
        """Try the equal blend of the best components of the two best families, if two learn anything."""
        best = self._best_components()
        blend = EnsembleConfig(best) if len(best) > 1 else None
        if blend is not None and blend not in self.scores:
            self.blend = blend
            self.run(blend)

    def add_note(self, ensemble: EnsembleConfig, note: str) -> None:
        self.tried = [replace(tried, note=note) if tried.ensemble == ensemble else tried for tried in self.tried]

    def _best_components(self) -> tuple[ComponentConfig, ...]:
        """Return the best single component of each of the two best families but popularity, the best first."""
        best: dict[str, ComponentConfig] = {}
        for ensemble in sorted(self.scores, key=lambda ensemble: -self.scores[ensemble].mean()):
            component = ensemble.components[0]
            if len(ensemble.components) == 1 and ensemble.algorithm != Popularity.family:
                best.setdefault(component.trainer.family, component)
        return tuple(best.values())[:2]


def _choose(trials: _Trials, default: EnsembleConfig, incumbent: EnsembleConfig | None, split: str) -> ChosenEnsemble:
    scores, listeners = trials.scores, len(trials.runner.metric.ground_truth.users)

    def result(ensemble: EnsembleConfig, reason: str) -> ChosenEnsemble:
        return ChosenEnsemble(ensemble, reason, listeners, split, tuple(trials.tried))

    def difference(ensemble: EnsembleConfig, other: EnsembleConfig) -> tuple[float, float]:
        paired = scores[ensemble] - scores[other]
        return float(paired.mean()), float(paired.std(ddof=1) / np.sqrt(listeners))

    if not scores:
        return result(default, f"{default.algorithm}: none of the candidates could be fitted")
    best, besides = max(scores, key=lambda ensemble: scores[ensemble].mean()), ""
    if trials.blend == best:
        # A blend takes the time of both, so that a gain within the noise is not worth it.
        single = max((e for e in scores if e != best), key=lambda ensemble: scores[ensemble].mean())
        gain, error = difference(best, single)
        if gain <= error:
            note = f"not taken: {gain:+.4f} against {single.algorithm} is not more than its standard error, {error:.4f}"
            trials.add_note(best, note)
            best, besides = single, " besides the blend"
    count = len(scores) - bool(besides)
    numbers = f"NDCG@10 {scores[best].mean():.4f} on {listeners:,} listeners, the best of {count}{besides}"
    if incumbent is None or incumbent not in scores or best == incumbent:
        return result(best, f"{best.algorithm}: {numbers}")
    gain, error = difference(best, incumbent)
    margin = f"{gain:+.4f} with a standard error of {error:.4f}"
    if gain > REQUIRED_ERRORS * error:
        return result(best, f"{best.algorithm}: {numbers}; {margin} against the one in service")
    return result(
        incumbent,
        f"{incumbent.algorithm} stays in service: {best.algorithm}, the best other{besides}, has {margin}, and more "
        f"than {REQUIRED_ERRORS:g} standard errors are needed",
    )
