"""Select the ensemble after the trials: the best component alone, or a blend of several families."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter, itemgetter

from engine.data.plays import InsufficientPlays
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.questions import REPEATS
from engine.fitting import ComponentScorer
from engine.tuning.blend_weights import ValidationPool, learn_weights
from engine.tuning.trial_runner import Trial, TrialRunner, single_component_scorer

_MIN_GAIN = 0.005  # relative; each component makes responses slower, so it must improve NDCG by this much
_MIN_WEIGHT = 0.03
_MIN_SCORE = 0.6  # share of the best score; weaker components are not tried in a blend
_CLOSE_SCORE = 0.97  # share of the best score; differences above it are within chance
_MAX_REFITS = 4  # of the close trials of a family
_MAX_COMPONENTS = 5


@dataclass(frozen=True)
class _Candidate:
    """A component fitted again with another seed; scores are NDCG@10, `mean_score` that of the trial and the refit."""

    component: ComponentConfig
    scorer: ComponentScorer
    mean_score: float
    refit_score: float


def select_ensemble(runner: TrialRunner, trials: Iterable[Trial], deadline: float) -> tuple[EnsembleConfig, float]:
    """Start from the best component, and add others greedily as long as each improves the blend.

    For the question of repeats, the best component of own tracks is the start.

    Args:
        runner: fits the best trials again.
        trials: all trials of the search.
        deadline: `time.perf_counter()` after which no further component is fitted.

    Returns:
        The ensemble and its expected NDCG@10.

    Raises:
        ValueError: no trial has a score.
    """
    candidates = _refit_best(runner, trials, deadline)
    leader = candidates[0]
    ensemble, score = EnsembleConfig((leader.component,)), leader.refit_score
    if len(candidates) == 1:
        return ensemble, score
    pool = ValidationPool.build(runner.metric, [c.scorer for c in candidates], leader.scorer.popularity > 0)
    selected = [0]
    while remaining := [i for i in range(len(candidates)) if i not in selected]:
        blends = [(i, *learn_weights(pool.select_components([*selected, i]), runner.seed)) for i in remaining]
        added, weights, expected = max(blends, key=itemgetter(2))
        if expected < score * (1 + _MIN_GAIN) or max(weights.few[-1], weights.many[-1]) < _MIN_WEIGHT:
            break
        selected.append(added)
        ensemble, score = EnsembleConfig(tuple(candidates[i].component for i in selected), weights), expected
    return ensemble, score


def _refit_best(runner: TrialRunner, trials: Iterable[Trial], deadline: float) -> list[_Candidate]:
    """Fit the best trials of each family again with another seed, and return the candidates for a blend, best first.

    The best of many trials owes part of its score to its seed. Without the refit the luckiest trial would be selected,
    and its inflated score would make other components look useless. For the question of repeats, components of own
    tracks come before all others.
    """

    def is_required(component: ComponentConfig) -> bool:
        # Lists of repeats are ranked by the blend only if it has such a component, see engine.retrieval.repeat.
        return component.trainer.own_tracks_only and runner.metric.ground_truth.question == REPEATS

    scored = [trial for trial in trials if trial.score is not None]
    if not scored:
        raise InsufficientPlays("no family could learn from these plays; the trials' notes give the reasons")
    ranked = sorted(scored, key=lambda trial: (is_required(trial.component), trial.score), reverse=True)
    best_score = max(trial.score or 0.0 for trial in scored)
    reseeded = replace(runner, seed=runner.seed + 1)
    refits: dict[str, list[_Candidate]] = {}
    for trial in ranked:
        family, score = trial.component.trainer.family, trial.score or 0.0
        max_refits = _MAX_REFITS if score > _CLOSE_SCORE * best_score else 1
        is_late = time.perf_counter() + trial.seconds > deadline and refits
        is_weak = score < _MIN_SCORE * best_score and not is_required(trial.component)
        if len(refits.get(family, [])) >= max_refits or is_late or is_weak:
            continue
        scorer = reseeded.fit(trial.component)
        refit_score = reseeded.metric.mean_ndcg(single_component_scorer(scorer))
        candidate = _Candidate(trial.component, scorer, (score + refit_score) / 2, refit_score)
        refits.setdefault(family, []).append(candidate)

    best_by_family = [max(candidates, key=attrgetter("mean_score")) for candidates in refits.values()]
    best_by_family.sort(key=lambda candidate: (is_required(candidate.component), candidate.mean_score), reverse=True)
    candidates: list[_Candidate] = []
    for candidate in best_by_family:  # a bundle holds the factors of one component only
        if candidate.scorer.model.factors is None or all(c.scorer.model.factors is None for c in candidates):
            candidates.append(candidate)
    return candidates[:_MAX_COMPONENTS]
