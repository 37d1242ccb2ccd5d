"""Measure what re-weighting candidates by the hour gives.

    python -m benchmarks.context FOLDER [--families item_knn rp3beta ials] [--threads 0]

FOLDER has events.tsv of 30Music, which has three windows of five days: each line is a play. Of each window, a model is
fitted on everything before each of the last four days, those of earlier windows included, and the sessions that begin
on the day are predicted: the 200 best candidates of the model, re-ranked with the context. Weights are chosen on the
first two windows by NDCG@10, the results are those of the third. "All" are all tracks of the session, "new" those that
the listener had not played before it. Listeners need five plays before a session; of each one, the first three sessions
of a day count.

- "item lift": log(plays of the track in this period of the day / those expected), shrunk by ten plays
- "common": the direction that all listeners' plays have in this period of the day
- "own": the listener's own plays around this hour, compared with all of theirs
- "own and common": the former, shrunk towards the latter, which is what a version uses
- "own, older": the same without what was played in the last twelve hours, which the session after it resembles anyway
- "own, 12 hours off": what chance gives, because the hour says nothing
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.cold_start import SEED, Newcomers, read_events_file
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.confidence import DAY_SECONDS, HOUR_SECONDS, PlayStatistics
from engine.data.id_map import IdMap
from engine.data.play_contexts import HOURS, PlayContexts
from engine.data.plays import Plays
from engine.data.user_item_pairs import UserItemPairs, count_listeners
from engine.ensemble import AUXILIARY, EnsembleConfig
from engine.evaluation.bootstrap import draw_resamples, mean_intervals
from engine.evaluation.metrics import ndcg, recall
from engine.evaluation.questions import ALL, NEW
from engine.fitting import fit_ensemble
from engine.models import FAMILIES
from engine.models.listening_context import PERIODS, ContextModel, fit_context_model, period_of_day
from engine.ranking.context import unit_vectors
from engine.tuning.context_weights import (
    WEIGHTS,
    SessionCase,
    case_opinions,
    listener_means,
    rank_cases,
    session_cases,
)
from engine.tuning.space import build_component

LIFT_PRIOR = 10.0
WINDOW_GAP = 30 * DAY_SECONDS
DAYS = (1, 2, 3, 4)
Opinions = dict[str, NDArray[np.float64]]


class Measured(NamedTuple):
    """The sessions of some days, and what each variant says of their candidates."""

    cases: list[SessionCase]
    opinions: list[Opinions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--families", nargs="+", choices=sorted(FAMILIES), default=["item_knn", "rp3beta", "ials"])
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    newcomers = read_events_file(options.folder)
    print("| family | question | context | weight | gain on validation | NDCG@10 | change | Recall@20 | change |")
    print("|---|---|---|---|---|---|---|---|---|")
    for family in options.families:
        parts = measure(newcomers, family, options.threads)
        for question, (valid, test) in parts.items():
            print_rows(family, question, valid, test)


def measure(newcomers: Newcomers, family: str, threads: int) -> dict[str, tuple[Measured, Measured]]:
    """Return the sessions for validation and test, by question."""
    plays = newcomers.plays.where(np.argsort(newcomers.plays.time, kind="stable"))
    begins = plays.time[np.flatnonzero(np.diff(plays.time, prepend=-WINDOW_GAP) >= WINDOW_GAP)].tolist()
    parts = {question: (Measured([], []), Measured([], [])) for question in (ALL, NEW)}
    for number, (begin, end) in enumerate(zip(begins, [*begins[1:], plays.time[-1] + 1], strict=True)):
        for day in DAYS:
            first = begin + day * DAY_SECONDS
            last = end if day == DAYS[-1] else first + DAY_SECONDS
            bundle = fit(plays.where(plays.time < first), newcomers, family, threads)
            for question, measured in parts.items():
                cases = session_cases(bundle, plays, first, PlayContexts.empty(), end=last, question=question)
                for case, opinions in with_opinions(bundle, plays.where(plays.time < first), cases):
                    measured[number == len(begins) - 1].cases.append(case)
                    measured[number == len(begins) - 1].opinions.append(opinions)
    return parts


def fit(plays: Plays, newcomers: Newcomers, family: str, threads: int) -> ModelBundle:
    """Fit a family with its usual settings; one without factors gets auxiliary ones, as in training."""
    items, users = IdMap.from_ids(np.arange(len(newcomers.features))), IdMap.from_ids(plays.user)
    pairs, shape = UserItemPairs.from_plays(plays, users, items), (len(users), len(items))
    ensemble = EnsembleConfig((build_component(family, {}),))
    fitted = fit_ensemble(pairs, shape, ensemble, seed=SEED, threads=threads)
    auxiliary = None
    if fitted.models[0].factors is None:
        auxiliary = fit_ensemble(pairs, shape, EnsembleConfig((AUXILIARY,)), seed=SEED, threads=threads).models[0]
    return assemble_bundle(
        version=None,
        items=items,
        popularity=count_listeners(pairs, len(items)),
        ensemble=fitted.ensemble,
        fitted_models=fitted.models,
        statistics=PlayStatistics.from_pairs(pairs),
        features=newcomers.features,
        auxiliary=auxiliary,
    )


def with_opinions(
    bundle: ModelBundle, past: Plays, cases: Iterator[SessionCase]
) -> Iterator[tuple[SessionCase, Opinions]]:
    """Yield each session with what the variants say of its candidates."""
    vectors = unit_vectors(bundle, np.arange(len(bundle.items)))
    model = fit_context_model(vectors, bundle.items, past, PlayContexts.empty(), {})
    nothing_common = ContextModel(model.codes, np.zeros_like(model.vectors))
    lifts = item_lifts(bundle, past)
    for case in cases:
        later = case._replace(query=replace(case.query, now=case.query.now + 12 * HOUR_SECONDS))
        history = case.query.history
        older = history.where(history.newest < case.query.now - 12 * HOUR_SECONDS)
        rested = case._replace(query=replace(case.query, history=older))
        stranger = case._replace(query=replace(case.query, history=UserItemPairs.empty()))
        yield (
            case,
            {
                "item lift": lifts[case.rows, int(period_of_day(np.array(case.query.now)))],
                "common": case_opinions(bundle, model, stranger)[HOURS],
                "own": case_opinions(bundle, nothing_common, case)[HOURS],
                "own and common": case_opinions(bundle, model, case)[HOURS],
                "own, older": case_opinions(bundle, model, rested)[HOURS],
                "own, 12 hours off": case_opinions(bundle, nothing_common, later)[HOURS],
            },
        )


def item_lifts(bundle: ModelBundle, past: Plays) -> NDArray[np.float64]:
    """Return the logarithm of the shrunk lift of each track in each period of the day, float64 (items, PERIODS)."""
    counts = np.zeros((len(bundle.items), PERIODS))
    np.add.at(counts, (bundle.items.rows(past.track)[0], period_of_day(past.time)), 1)
    share = counts.sum(axis=0) / counts.sum()
    expected = (counts.sum(axis=1, keepdims=True) + LIFT_PRIOR) * share
    return np.asarray(np.log((counts + LIFT_PRIOR * share) / expected))


def print_rows(family: str, question: str, valid: Measured, test: Measured) -> None:
    for name in test.opinions[0]:
        before = listener_means(valid.cases, rank_cases(valid.cases, valid.opinions, {}))

        def gain(weight: float, name: str = name, before: Any = before) -> NDArray[np.float64]:
            return listener_means(valid.cases, rank_cases(valid.cases, valid.opinions, {name: weight})) - before

        weight = max(WEIGHTS, key=lambda weight: float(gain(weight).mean()))
        chosen = gain(weight)
        errors = chosen.mean() / max(chosen.std() / np.sqrt(len(chosen)), 1e-12)
        cells = [f"{weight:g}", f"{chosen.mean():+.4f}, {errors:+.1f} standard errors"]
        for metric in (ndcg, recall):
            without = listener_means(test.cases, rank_cases(test.cases, test.opinions, {}), metric)
            with_it = listener_means(test.cases, rank_cases(test.cases, test.opinions, {name: weight}), metric)
            interval = mean_intervals({"": with_it - without}, draw_resamples(len(without), SEED))[""]
            cells += [
                f"{without.mean():.4f}",
                f"{interval.mean:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})",
            ]
        print(f"| {family} | {question} | {name} | {' | '.join(cells)} |", flush=True)
    listeners = [len({case.listener for case in part.cases}) for part in (valid, test)]
    print(
        f"{family}, {question}: {len(valid.cases):,} sessions of {listeners[0]:,} listeners for validation, "
        f"{len(test.cases):,} of {listeners[1]:,} for the test",
        flush=True,
    )


if __name__ == "__main__":
    main()
