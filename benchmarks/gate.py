"""Simulate weekly searches in small worlds, and count how often each rule of the gate adopts a worse recipe.

    python -m benchmarks.gate [--worlds 25] [--weeks 8]

A world has listeners with mixed tastes who go on listening, a few hundred tracks, and a recipe in service. Each week a
search tries random recipes on the older plays and proposes the best one. Then each rule decides on the newest plays,
which the search has not seen, whether the proposal replaces its recipe in service. What that did in truth is measured
on many simulated futures of the same listeners. Every rule has its own recipe in service in each world. There is a
process for each core; on two it takes about six minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.split import split_plays
from engine.data.user_item_pairs import UserItemPairs, binary_matrix
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.evaluation.ground_truth import GroundTruth
from engine.evaluation.metrics import ndcg
from engine.evaluation.ranking import rank_top_k
from engine.models.ials import IALS
from engine.models.search_space import Choice, Dimension
from engine.training import WINDOWS_BELOW
from engine.tuning.paired_windows import compare_in_windows
from engine.tuning.space import build_component, find_point, perturb_point, search_space
from engine.tuning.trial_runner import TrialRunner, single_component_scorer
from engine.tuning.validation_metric import ValidationMetric
from recommendations.training.quality_gate import MIN_LISTENERS, Difference, pool_windows, wins

TRACKS, TASTES, WEEKS_BEFORE, K = 400, 10, 8, 10
WEEK = 7 * 86_400
HOLDOUT, TRIALS, SEED = 0.2, 12, 5
WORSE = 0.02
SIZES = (50, 100, 200, 500)  # listeners of a world
FUTURES = 40_000  # pairs of a listener and a future, on which the true difference is measured
FAMILIES_TRIED = ("ials", "rp3beta", "item_knn", "linear_autoencoder")


class World:
    """Listeners who draw their plays from mixtures of tastes, week after week."""

    def __init__(self, listeners: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        popularity = 1 / np.arange(1, TRACKS + 1) ** 0.6
        tastes = popularity * self.rng.gamma(0.25, 1, (TASTES, TRACKS))
        mixtures = self.rng.dirichlet(np.full(TASTES, 0.2), listeners)
        self.preferences = mixtures @ (tastes / tastes.sum(axis=1, keepdims=True))
        self.plays_a_week = self.rng.gamma(1.5, 3, listeners)
        self.week, self.plays = 0, Plays.empty()
        for _ in range(WEEKS_BEFORE):
            self.add_week()

    def add_week(self) -> None:
        counts = self.rng.poisson(self.plays_a_week[:, None] * self.preferences)
        users, tracks = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
        times = self.week * WEEK + self.rng.integers(0, WEEK, len(users))
        rows = zip(
            users.tolist(), tracks.tolist(), [1.0] * len(users), [True] * len(users), times.tolist(), strict=True
        )
        self.plays, self.week = Plays.concatenate([self.plays, Plays.from_rows(rows)]), self.week + 1


@dataclass
class Window:
    """A past to fit recipes on, and how well they predict the future after it."""

    runner: TrialRunner
    scores: dict[ComponentConfig, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def from_split(cls, past: Plays, future: Plays, users: IdMap, items: IdMap) -> Window:
        shape = (len(users), len(items))
        pairs, future_pairs = (UserItemPairs.from_plays(part, users, items) for part in (past, future))
        metric = ValidationMetric.from_pairs(pairs, future_pairs, shape, SEED, 1)
        return cls(TrialRunner(pairs, shape, metric, SEED, 1))

    def ndcg_per_user(self, recipe: ComponentConfig) -> NDArray[np.float64]:
        """Return NDCG@10 of each listener of the window."""
        if recipe not in self.scores:
            truth = self.runner.metric.ground_truth
            lists = rank_top_k(single_component_scorer(self.runner.fit(recipe)), truth.users, truth.past, K, threads=1)
            self.scores[recipe] = ndcg(truth.mark_hits(lists), truth.relevant_counts(), [K])[:, 0]
        return self.scores[recipe]


def true_ndcg(world: World, recipe: ComponentConfig, users: IdMap, items: IdMap) -> float:
    """Return the mean NDCG@10 of a recipe, fitted on all plays, over many futures of every listener."""
    pairs, shape = UserItemPairs.from_plays(world.plays, users, items), (len(users), len(items))
    past = binary_matrix(pairs, shape)
    truth = GroundTruth.from_matrices(past, past, None, SEED)
    metric = ValidationMetric(truth, 1)
    scorer = single_component_scorer(TrialRunner(pairs, shape, metric, SEED, 1).fit(recipe))
    listeners = np.flatnonzero(np.diff(past.indptr))
    lists = rank_top_k(scorer, listeners, truth.past, K, threads=1)
    ids = users.ids[listeners]
    rates = 2 * world.plays_a_week[ids, None] * world.preferences[ids]
    chances = np.where(past[listeners].toarray() > 0, 0, 1 - np.exp(-rates)).astype(np.float32)
    rng, sums, evaluated = np.random.default_rng(SEED), 0.0, 0
    for _ in range(max(1, FUTURES // len(listeners))):
        relevant = rng.random(chances.shape, np.float32) < chances
        hits = np.take_along_axis(relevant, np.maximum(lists, 0), axis=1) & (lists >= 0)
        counts = relevant.sum(axis=1)
        known = counts > 0
        sums += ndcg(hits[known], counts[known], [K])[:, 0].sum()
        evaluated += int(known.sum())
    return float(sums / evaluated)


def search(window: Window, initial: ComponentConfig, rng: np.random.Generator) -> ComponentConfig:
    """Return the best of several recipes on the plays of the search: random ones, then steps from the best so far."""
    pairs = window.runner.past
    tried = [initial]
    for trial in range(TRIALS):
        if trial < TRIALS // 2:
            family = str(rng.choice(FAMILIES_TRIED))
            point = {name: random_value(dimension, rng) for name, dimension in search_space(family, pairs).items()}
        else:
            best = max(tried, key=lambda recipe: window.ndcg_per_user(recipe).mean())
            family = best.trainer.family
            space = search_space(family, pairs)
            point = perturb_point(find_point(best, space) or {}, space, rng)
        tried.append(small_recipe(build_component(family, point)))
    return max(tried, key=lambda recipe: window.ndcg_per_user(recipe).mean())


def small_recipe(recipe: ComponentConfig) -> ComponentConfig:
    """Reduce the number of factors, for speed; more of them are no better in worlds this small."""
    if isinstance(recipe.trainer, IALS):
        return replace(recipe, trainer=replace(recipe.trainer, factors=min(recipe.trainer.factors, 32)))
    return recipe


def random_value(dimension: Dimension, rng: np.random.Generator) -> Any:
    if isinstance(dimension, Choice):
        return dimension.values[rng.integers(len(dimension.values))]
    if dimension.log:
        return float(np.exp(rng.uniform(np.log(dimension.low), np.log(dimension.high))))
    if isinstance(dimension.low, int) and isinstance(dimension.high, int):
        return int(rng.integers(dimension.low, dimension.high + 1))
    return float(rng.uniform(dimension.low, dimension.high))


@dataclass(frozen=True)
class Comparison:
    """What a rule may look at: a proposal and the recipe in service, on plays that the search has not seen.

    Attributes:
        ndcg: NDCG@10 of the recipe in service on the newest plays.
        listeners: how many listeners that is the mean of.
        difference: of the proposal to it, on the same plays.
        in_windows: returns the difference over several windows of the newest plays; `difference` without windows, where
            too few listeners return for a split by time.
    """

    ndcg: float
    listeners: int
    difference: Difference
    in_windows: Callable[[], Difference]


def is_not_certainly_worse(comparison: Comparison) -> bool:
    """Adopt unless the whole interval lies below a margin of a tenth, as the gate did until it asked for a win."""
    return comparison.listeners < MIN_LISTENERS or comparison.difference.high >= -0.1 * comparison.ndcg


def wins_by_one_error(comparison: Comparison) -> bool:
    return comparison.difference.mean > comparison.difference.standard_error


def wins_in_one_window(comparison: Comparison) -> bool:
    return wins(comparison.difference)


def wins_in_windows(comparison: Comparison) -> bool:
    """Adopt by the rule of `recommendations.training.quality_gate`."""
    if comparison.listeners >= WINDOWS_BELOW:
        return wins(comparison.difference)
    return comparison.listeners >= MIN_LISTENERS and wins(comparison.in_windows())


RULES: dict[str, Callable[[Comparison], bool]] = {
    "not worse beyond doubt": is_not_certainly_worse,
    "better by 1 standard error": wins_by_one_error,
    "better by 2 standard errors": wins_in_one_window,
    "better by 2 standard errors, in four windows: the gate": wins_in_windows,
}


def simulate_world(number: int, weeks: int) -> dict[str, list[float]]:
    """Let every rule decide about a proposal each week, and return the true gains of what each has adopted."""
    world, items = World(SIZES[number % len(SIZES)], number), IdMap.from_ids(np.arange(TRACKS))
    serving = dict.fromkeys(RULES, first_recipe(world, items))
    gains: dict[str, list[float]] = {rule: [] for rule in RULES}
    for week in range(weeks):
        world.add_week()
        users = IdMap.from_ids(world.plays.user)
        split = split_plays(world.plays, "time", HOLDOUT, SEED)
        newest = Window.from_split(split.past, split.future, users, items)
        older = split_plays(split.past, "time", HOLDOUT, SEED)
        searched = Window.from_split(older.past, older.future, users, items)
        truth = cache(partial(true_ndcg, world, users=users, items=items))
        for rule, adopts in RULES.items():
            proposal = search(searched, serving[rule], np.random.default_rng((number, week)))
            if proposal == serving[rule]:
                continue
            if adopts(compare(world, items, newest, proposal, serving[rule])):
                gains[rule].append(truth(proposal) / truth(serving[rule]) - 1)
                serving[rule] = proposal
    return gains


def compare(
    world: World, items: IdMap, newest: Window, proposal: ComponentConfig, serving: ComponentConfig
) -> Comparison:
    old, new = newest.ndcg_per_user(serving), newest.ndcg_per_user(proposal)
    difference = Difference.from_error(float((new - old).mean()), float((new - old).std(ddof=1) / np.sqrt(len(new))))

    def in_windows() -> Difference:
        challenger, in_service = (EnsembleConfig((recipe,)) for recipe in (proposal, serving))
        windows = compare_in_windows(world.plays, items, challenger, in_service, holdout=HOLDOUT, seed=SEED, threads=1)
        return pool_windows(windows) if windows else difference

    return Comparison(float(old.mean()), len(old), difference, in_windows)


def first_recipe(world: World, items: IdMap) -> ComponentConfig:
    """Return the best of the defaults of all families: what serves before the first search."""
    users = IdMap.from_ids(world.plays.user)
    split = split_plays(world.plays, "time", HOLDOUT, SEED)
    window = Window.from_split(split.past, split.future, users, items)
    defaults = [small_recipe(build_component(family, {})) for family in FAMILIES_TRIED]
    return max(defaults, key=lambda recipe: window.ndcg_per_user(recipe).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", type=int, default=25)
    parser.add_argument("--weeks", type=int, default=8)
    options = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        results = list(pool.map(simulate_world, range(options.worlds), repeat(options.weeks)))
    print(f"{options.worlds * options.weeks} searches")
    print(
        "| a recipe is adopted if it is | adopted | in truth worse by more than 2 % | worst | mean true gain | median |"
    )
    print("|---|---|---|---|---|---|")
    for rule in RULES:
        gains = np.array([gain for result in results for gain in result[rule]])
        if not len(gains):
            print(f"| {rule} | 0 | | | | |")
            continue
        print(
            f"| {rule} | {len(gains)} | {(gains < -WORSE).mean():.1%} | {gains.min():+.1%} | {gains.mean():+.1%} | "
            f"{np.median(gains):+.1%} |"
        )


if __name__ == "__main__":
    main()
