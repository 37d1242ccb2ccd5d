"""The search: families take turns, each led by a tree-structured Parzen estimator (Optuna), then the best are
blended."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.fitting import PartScorer
from engine.matrix import Pairs, Statistics, confidence_matrix
from engine.models.base import SILENT, CannotTrain, Factors, Progress
from engine.recipe import Part, Recipe
from engine.tuning.blending import Pool, learn_weights
from engine.tuning.judge import Examiner
from engine.tuning.space import SHARES, Between, Space, nearby, part_at, point_of, space_of
from engine.tuning.trials import Trial, Tuned

BLEND_SHARE = 0.2  # of the time, kept for the blend
_BEHIND = 0.75  # of the leader's score: a family that stays below after a few trials gets no more of the time
_FEW = 3
_HOPELESS = 0.6  # of the leader's score, half way through its iterations
_MIN_GAIN = 0.005  # of the score: what a further part in every answer must bring
_NEGLIGIBLE = 0.03
_WORTH_ADDING = 0.6  # of the leader's score
_CLOSE = 0.97  # of the leader's score: who comes so near may be better in truth
_OPINIONS = 4  # such trials of a family are fitted again
_MOST_PARTS = 5
_REPEATS = 20  # guesses at something new; a resumed estimator begins with what it said before
_EXPLORED = 6  # trials of a family before it is searched near its best
_NEAR_THE_BEST = 0.6  # of the later ones: the good regions are narrow, and defaults lie close to them


def tune(
    past: Pairs,
    future: Pairs,
    shape: tuple[int, int],
    *,
    seconds: float,
    start: Recipe | None = None,
    known: Sequence[Trial] = (),
    seed: int = 2009,
    threads: int = 0,
    on_trial: Callable[[Trial], None] = lambda trial: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tuned:
    """Search for `seconds`, then blend. Each family has at least one trial, however short the time.

    start: its parts are tried first (the recipe in service) · known: trials of an interrupted search, not tried again ·
    on_trial: called after each trial, to keep it · progress: seconds spent, of all. Raises ValueError where there is
    nothing to learn from or nobody to judge on.
    """
    if not len(past):
        raise ValueError("there are no plays to learn from; import plays first")
    bench = _Bench(past, shape, Examiner.of(past, future, shape, seed, threads), seed, threads)
    searches = {family: _Search(family, space_of(family, past), seed) for family in SHARES}
    for trial in known:
        searches[trial.part.trainer.family].learn(trial) if trial.part.trainer.family in searches else None
    for part in start.parts if start else ():
        if part.trainer.family in searches:
            searches[part.trainer.family].first(part)
    began, deadline = time.perf_counter(), time.perf_counter() + seconds * (1 - BLEND_SHARE)
    trials = list(known)
    for search in _turns(searches, deadline):
        trial = bench.try_part(search.next(), best=_leader(searches))
        search.learn(trial)
        trials.append(trial)
        on_trial(trial)
        progress(min(int(time.perf_counter() - began), int(seconds)), int(seconds))
    recipe, score = _blend(bench, searches, began + seconds)
    progress(int(seconds), int(seconds))
    best_of = {f: round(s.best.score, 5) for f, s in searches.items() if s.best and s.best.score is not None}
    return Tuned(recipe, round(score, 5), tuple(trials), best_of)


@dataclass
class _Bench:
    """Fits a part on the past and judges it on the future."""

    past: Pairs
    shape: tuple[int, int]
    examiner: Examiner
    seed: int
    threads: int

    def __post_init__(self) -> None:
        self.statistics = Statistics.of(self.past)

    def fit(self, part: Part, progress: Progress = SILENT) -> PartScorer:
        matrix = confidence_matrix(self.past, self.shape, part.confidence, self.statistics)
        learnt = part.trainer.fit(matrix, seed=self.seed, threads=self.threads, progress=progress)
        return PartScorer.of(part, learnt, matrix)

    def try_part(self, part: Part, best: float) -> Trial:
        """A trial that cannot be fitted is one without a score; the search goes on."""
        began, note = time.perf_counter(), ""
        half_way = getattr(part.trainer, "iterations", 0) // 2

        def hopeless(done: int, factors: Factors) -> bool:
            nonlocal note
            if done != half_way or not best:
                return False
            if self.examiner.ndcg(lambda users: factors[0][users] @ factors[1].T) >= _HOPELESS * best:
                return False
            note = f"ended after {done} iterations, far behind"
            return True

        try:
            scorer = self.fit(part, Progress(look=hopeless))
            score: float | None = round(self.examiner.ndcg(_served(scorer)), 5)
        except (CannotTrain, FloatingPointError, MemoryError, ValueError, ArithmeticError) as error:
            score, note = None, f"{type(error).__name__}: {error}"[:500]
        return Trial(part, score, round(time.perf_counter() - began, 3), note)


@dataclass
class _Search:
    """One family's trials, and where to look next."""

    family: str
    space: Space
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
        self.asked: list[Part] = []
        self.asked.append(part_at(self.family, {}))

    @property
    def best(self) -> Trial | None:
        return max((t for t in self.trials if t.score is not None), key=lambda t: t.score or 0.0, default=None)

    @property
    def seconds(self) -> float:
        return sum(t.seconds for t in self.trials)

    def first(self, part: Part) -> None:
        self.asked.append(part)

    def next(self) -> Part:
        """What has not been tried: what was asked for, then near the best, then wherever the estimator points."""
        while self.asked:
            if not self._tried(part := self.asked.pop()):
                return part
        for _ in range(_REPEATS):
            if not self._tried(part := self._guess()):
                break
        return part

    def _tried(self, part: Part) -> bool:
        return any(trial.part == part for trial in self.trials)

    def _guess(self) -> Part:
        near = self.best and point_of(self.best.part, self.space)
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
        point = point_of(trial.part, self.space)
        if point and trial.score is not None:
            told = optuna.trial.create_trial(params=point, distributions=self.distributions, value=trial.score)
            self.study.add_trial(told)


def _turns(searches: dict[str, _Search], deadline: float) -> Iterator[_Search]:
    """Whose turn it is: the family that has had least of its share, among those worth it that end in time."""
    while True:
        leader, left = _leader(searches), deadline - time.perf_counter()
        open_ = [s for s in searches.values() if not s.over(leader) and (not s.trials or _expected(s) < left)]
        open_ = [s for s in open_ if not s.trials or left > 0]
        if not open_:
            return
        yield min(open_, key=lambda s: (bool(s.trials), s.seconds / SHARES[s.family]))


def _expected(search: _Search) -> float:
    return float(np.median([t.seconds for t in search.trials]))


def _leader(searches: dict[str, _Search]) -> float:
    return max((s.best.score or 0.0 for s in searches.values() if s.best), default=0.0)


def _blend(bench: _Bench, searches: dict[str, _Search], deadline: float) -> tuple[Recipe, float]:
    """The best part alone, or with others added one by one as long as each brings something. Weights are learnt and
    judged on different listeners."""
    chosen = _second_opinion(bench, searches, deadline)
    leader = chosen[0]
    best = Recipe((leader.part,)), leader.again
    if len(chosen) < 2:
        return best
    pool = Pool.of(bench.examiner, [one.scorer for one in chosen], leader.scorer.popularity > 0)
    used = [0]
    while left := [i for i in range(len(chosen)) if i not in used]:
        tried = [(i, *learn_weights(_of_parts(pool, [*used, i]), bench.seed)) for i in left]
        added, weights, expected = max(tried, key=lambda one: one[2])
        if expected < best[1] * (1 + _MIN_GAIN) or max(weights.few[-1], weights.many[-1]) < _NEGLIGIBLE:
            break
        used.append(added)
        best = Recipe(tuple(chosen[i].part for i in used), weights), expected
    return best


@dataclass(frozen=True)
class _Candidate:
    """again: its NDCG@10 with another seed · score: the mean with that of its trial."""

    part: Part
    scorer: PartScorer
    score: float
    again: float


def _second_opinion(bench: _Bench, searches: dict[str, _Search], deadline: float) -> list[_Candidate]:
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
        family, score = trial.part.trainer.family, trial.score or 0.0
        enough = len(found.get(family, [])) >= (_OPINIONS if score > _CLOSE * lead else 1)
        late = time.perf_counter() + trial.seconds > deadline and found
        if enough or late or score < _WORTH_ADDING * lead:
            continue
        scorer = again.fit(trial.part)
        second = again.examiner.ndcg(_served(scorer))
        found.setdefault(family, []).append(_Candidate(trial.part, scorer, (score + second) / 2, second))
    best = [max(few, key=lambda one: one.score) for few in found.values()]
    return _one_of_factors(sorted(best, key=lambda one: -one.score))[:_MOST_PARTS]


def _of_parts(pool: Pool, few: Sequence[int]) -> Pool:
    return Pool(pool.scores[:, :, list(few)], pool.relevant, pool.wanted, pool.tracks)


def _one_of_factors(candidates: list[_Candidate]) -> list[_Candidate]:
    """A bundle holds the factors of one part."""
    kept: list[_Candidate] = []
    for one in candidates:
        if one.scorer.learnt.factors is None or all(other.scorer.learnt.factors is None for other in kept):
            kept.append(one)
    return kept


def _served(scorer: PartScorer) -> Callable[[Any], Any]:
    """As one part alone is served: what got no score is not offered."""

    def scores(users: Any) -> Any:
        page = scorer(users)
        return np.where((scorer.popularity > 0) & (page != 0), page, np.float32(-np.inf))

    return scores


def _distribution(dimension: Any) -> Any:
    import optuna

    if isinstance(dimension, Between):
        if isinstance(dimension.low, int) and isinstance(dimension.high, int) and not dimension.log:
            return optuna.distributions.IntDistribution(dimension.low, dimension.high)
        return optuna.distributions.FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return optuna.distributions.CategoricalDistribution(dimension.values)
