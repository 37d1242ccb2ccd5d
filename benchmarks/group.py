"""Measure a slate for a group of listeners, compared with the slate of one of them.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.group [--tracks 50000] [--factors 64] [--size 5] [--rounds 200]

The version and the listeners are those of `benchmarks.slate`, on one core: 2,000 clusters of tracks, 40 plays of each
listener. For each group, the slate of its first member by the built-in policy and the slates of the group by both
strategies take turns; medians and the 99th percentile of the elapsed time are printed, and how often a group took
longer than `--size` times the slate of one. "folded in" are listeners whose plays are newer than the version, so that
their factors are computed for the request; "stored" are those whose factors the version has.
"""

import argparse
import os
import time
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.slate import LISTENERS, NOW, K, build_world
from engine.bundle.model_bundle import ModelBundle
from engine.data.user_item_pairs import UserItemPairs
from engine.pipeline import GROUP, PERSONAL, recommend
from engine.retrieval.candidates import GROUP_STRATEGIES, Group, Member, Query

GROUP_POLICY = replace(GROUP, head=PERSONAL.head, dials=PERSONAL.dials, caps=PERSONAL.caps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--size", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    bundle, histories = build_world(options.tracks, options.factors)
    print(f"load average at the start: {os.getloadavg()[0]:.1f}\n")
    print("| factors | slate | median, ms | 99th percentile, ms | median, relative |\n|---|---|---|---|---|")
    with threadpool_limits(1):
        for name, is_stored in (("stored", True), ("folded in", False)):
            seconds = measure(bundle, histories, options.size, options.rounds, is_stored)
            one = float(np.median(seconds["one listener"]))
            for slate, times in seconds.items():
                median, slowest = float(np.median(times)), float(np.quantile(times, 0.99))
                print(f"| {name} | {slate} | {1000 * median:.2f} | {1000 * slowest:.2f} | {median / one:.2f} |")
    print(f"\nload average at the end: {os.getloadavg()[0]:.1f}")


def measure(
    bundle: ModelBundle, histories: list[UserItemPairs], size: int, rounds: int, is_stored: bool
) -> dict[str, list[float]]:
    """Return the seconds of each slate of each round, by name."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds):
        listeners = [(number * size + member) % LISTENERS for member in range(size)]
        for name, query, policy in [
            ("one listener", make_query(histories, listeners[0], is_stored), PERSONAL),
            *(
                (f"{size} listeners, {strategy}", group_query(histories, listeners, strategy, is_stored), GROUP_POLICY)
                for strategy in GROUP_STRATEGIES
            ),
        ]:
            started = time.perf_counter()
            recommend(bundle, query, policy)
            seconds.setdefault(name, []).append(time.perf_counter() - started)
    return seconds


def make_query(histories: list[UserItemPairs], listener: int, is_stored: bool) -> Query:
    history = histories[listener]
    user_row = listener if is_stored else None
    return Query(K, seed=listener, user_row=user_row, history=history, exclude=history.track, now=NOW)


def group_query(histories: list[UserItemPairs], listeners: list[int], strategy: str, is_stored: bool) -> Query:
    queries = [make_query(histories, listener, is_stored) for listener in listeners]
    return Query(
        K,
        seed=listeners[0],
        group=Group(tuple(Member(query, tuple(PERSONAL.sources)) for query in queries), strategy),
        exclude=np.concatenate([query.exclude for query in queries]),
        now=NOW,
    )


if __name__ == "__main__":
    main()
