"""What the trials come to: the best part alone, or a blend."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.fitting import ComponentScorer
from engine.tuning.blend_weights import ValidationPool, learn_weights
from engine.tuning.family_search import FamilySearch
from engine.tuning.trial_runner import TrialRunner, single_component_scorer

_MIN_GAIN = 0.005  # of the score: what a further part in every answer must bring
_NEGLIGIBLE = 0.03
_WORTH_ADDING = 0.6  # of the leader's score
_CLOSE = 0.97  # of the leader's score: who comes so near may be better in truth
_OPINIONS = 4  # such trials of a family are fitted again
_MOST_PARTS = 5


def best_blend(
    bench: TrialRunner, searches: Mapping[str, FamilySearch], deadline: float
) -> tuple[EnsembleConfig, float]:
    """The best part alone, or with others added one by one as long as each brings something. Weights are learnt and
    judged on different listeners."""
    chosen = _second_opinion(bench, searches, deadline)
    leader = chosen[0]
    best = EnsembleConfig((leader.component,)), leader.again
    if len(chosen) < 2:
        return best
    pool = ValidationPool.build(bench.metric, [one.scorer for one in chosen], leader.scorer.popularity > 0)
    used = [0]
    while left := [i for i in range(len(chosen)) if i not in used]:
        tried = [(i, *learn_weights(_of_parts(pool, [*used, i]), bench.seed)) for i in left]
        added, weights, expected = max(tried, key=lambda one: one[2])
        if expected < best[1] * (1 + _MIN_GAIN) or max(weights.few[-1], weights.many[-1]) < _NEGLIGIBLE:
            break
        used.append(added)
        best = EnsembleConfig(tuple(chosen[i].component for i in used), weights), expected
    return best


@dataclass(frozen=True)
class _Candidate:
    """again: its NDCG@10 with another seed · score: the mean with that of its trial."""

    component: ComponentConfig
    scorer: ComponentScorer
    score: float
    again: float


def _second_opinion(bench: TrialRunner, searches: Mapping[str, FamilySearch], deadline: float) -> list[_Candidate]:
    """What to blend, the best first: fitted once more with another seed. The best of many trials owes some of its score
    to its seed; without this, whoever was luckiest would lead, and would seem to need no other part."""
    ranked = sorted(
        (t for s in searches.values() for t in s.trials if t.score is not None), key=lambda t: -(t.score or 0)
    )
    if not ranked:
        raise ValueError("no family could learn from these plays")
    lead = ranked[0].score or 0.0
    again = replace(bench, seed=bench.seed + 1)
    found: dict[str, list[_Candidate]] = {}
    for trial in ranked:
        family, score = trial.component.trainer.family, trial.score or 0.0
        enough = len(found.get(family, [])) >= (_OPINIONS if score > _CLOSE * lead else 1)
        late = time.perf_counter() + trial.seconds > deadline and found
        if enough or late or score < _WORTH_ADDING * lead:
            continue
        scorer = again.fit(trial.component)
        second = again.metric.mean_ndcg(single_component_scorer(scorer))
        found.setdefault(family, []).append(_Candidate(trial.component, scorer, (score + second) / 2, second))
    best = [max(few, key=lambda one: one.score) for few in found.values()]
    return _one_of_factors(sorted(best, key=lambda one: -one.score))[:_MOST_PARTS]


def _of_parts(pool: ValidationPool, few: Sequence[int]) -> ValidationPool:
    return ValidationPool(pool.scores[:, :, list(few)], pool.relevant_counts, pool.wanted, pool.tracks)


def _one_of_factors(candidates: list[_Candidate]) -> list[_Candidate]:
    """A bundle holds the factors of one part."""
    kept: list[_Candidate] = []
    for one in candidates:
        if one.scorer.model.factors is None or all(other.scorer.model.factors is None for other in kept):
            kept.append(one)
    return kept
