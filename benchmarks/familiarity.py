"""Measure what a share of known tracks in personal slates costs and gives.

    python -m benchmarks.familiarity FOLDER [--part test] [--hours 12]

FOLDER has events.tsv of 30Music; each line is a play. The last fifth of the plays of each listener is the test, the
last fifth of the others the validation (`--part valid`), on which the default is to be chosen. The version is an
`item_knn` whose latest tracks vote more, as the search of `benchmarks.repeats` found it. A slate is asked for when the
first held-out play begins, so that the cool-down leaves out what was played just before. Listeners with at least 15
plays count. "All" are all tracks that they played next, "new" those that they had not played before; slates have 20
tracks, and NDCG counts the first 10.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.cold_start import SEED, read_events_file, train_on
from benchmarks.repeats import hold_out_last
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import EnsembleConfig
from engine.evaluation.bootstrap import draw_resamples, mean_intervals
from engine.evaluation.metrics import ndcg
from engine.listener_query import ListenerState, plan_query
from engine.pipeline import EARLY, PERSONAL, POLICIES, Policy, recommend
from engine.tuning.space import build_component

RECENT_NEIGHBOURS = build_component("item_knn", {"confidence.transform": "log", "recency": 1.0})
CUTOFF, SLATE, MIN_PLAYS = 10, 20, 15
STEPS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", choices=("valid", "test"), default="test")
    parser.add_argument("--hours", type=float, default=PERSONAL.dials.repeat_after_hours, help="the cool-down")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    newcomers = read_events_file(options.folder)
    is_judged = np.bincount(newcomers.plays.user) >= MIN_PLAYS
    past, future = hold_out_last(newcomers.plays)
    if options.part == "valid":
        past, future = hold_out_last(past)
    bundle = train_on(past, newcomers.features, options.threads, EnsembleConfig((RECENT_NEIGHBOURS,)))
    listeners = []
    for listener in np.unique(future.user[is_judged[future.user]]).tolist():
        before, after = past.where(past.user == listener), future.where(future.user == listener)
        history = UserItemPairs.from_listener(before)
        state = ListenerState(listener, history, len(before), int(before.time.max()))
        played_next = np.unique(after.track)
        listeners.append((state, played_next, np.setdiff1d(played_next, before.track), int(after.time.min())))
    print("| familiarity | NDCG@10, all tracks | NDCG@10, new tracks | known tracks in a slate of 20 |")
    print("|---|---|---|---|")
    first: dict[str, np.ndarray] = {}
    for step in STEPS:
        policies = {**POLICIES, "early": with_familiarity(EARLY, step, options.hours)}
        policy = with_familiarity(PERSONAL, step, options.hours)
        scores: dict[str, list[float]] = {"all": [], "new": []}
        known_counts = []
        for state, played_next, new, now in listeners:
            query, planned = plan_query(bundle, state, policy, limit=SLATE, now=now, policies=policies)
            slate = np.array([pick.track_id for pick in recommend(bundle, query, planned).picks])
            known_counts.append(int(np.isin(slate, state.history.track).sum()))
            for question, relevant in (("all", played_next), ("new", new)):
                if len(relevant):
                    hits = np.isin(slate[:CUTOFF], relevant)[None]
                    scores[question].append(float(ndcg(hits, np.array([len(relevant)]), [CUTOFF])[0, 0]))
        cells = []
        for question, values in scores.items():
            column = np.array(values)
            change = column - first.setdefault(question, column)
            interval = mean_intervals({"": change}, draw_resamples(len(column), SEED))[""]
            difference = f" ({interval.low:+.4f} to {interval.high:+.4f})" if step else ""
            cells.append(f"{column.mean():.4f}{difference}")
        print(f"| {step:g} | {' | '.join(cells)} | {np.mean(known_counts):.1f} |", flush=True)
    print(f"\n{len(listeners):,} listeners; bounds are 95 % of the change against 0")


def with_familiarity(policy: Policy, familiarity: float, hours: float) -> Policy:
    return replace(policy, dials=replace(policy.dials, familiarity=familiarity, repeat_after_hours=hours))


if __name__ == "__main__":
    main()
