"""Measure the whole pipeline for one listener, compared with NumPy's product of all factors and `argpartition`.

    python -m benchmarks.slate [--tracks 50000] [--factors 64] [--rounds 300]

Runs on one core. Tracks lie in 2,000 clusters, with norms that grow with their popularity; each listener has played 40
tracks. The steps take turns for each listener, and medians are printed. Each step does all that the one before it does:

- "main source": candidates of the personal source alone, without caps and dials
- "caps": with the default caps
- "variety": and the dial `diversity`
- "personal policy": the built-in policy
- "all": every source of tracks for listeners, all dials, caps and shares
- "reasons": and the reasons of 20 picks
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.id_map import IdMap
from engine.data.plays import Plays
from engine.data.track_features import TrackFeatures
from engine.data.user_item_pairs import UserItemPairs
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from engine.pipeline import NO_CAPS, PERSONAL, Caps, Dials, Policy, recommend
from engine.ranking.explain import explain_by_history
from engine.retrieval.candidates import SOURCES, Query

K, LISTENERS, PLAYS, NOW = 20, 300, 40, 1_700_000_000
DAY = 86_400
MAIN = Policy("main", {"personal": 1.0}, caps=NO_CAPS)
ALL = Policy(
    "all",
    {"personal": 1.0}
    | {name: 0.1 for name in SOURCES if name not in ("personal", "early", "similar", "repeat", "random")},
    fill=PERSONAL.fill,
    dials=Dials(0.2, 0.2, 0.1, 0.1, 0.1, 0.1),
    caps=Caps(new_artist_share=0.05),
)
POLICIES = {
    "main source": MAIN,
    "caps": replace(MAIN, caps=Caps()),
    "variety": replace(MAIN, caps=Caps(), dials=Dials(diversity=0.2)),
    "personal policy": PERSONAL,
    "all": ALL,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=LISTENERS)
    options = parser.parse_args()
    bundle, histories = build_world(options.tracks, options.factors)
    steps = make_steps(bundle, histories)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    with threadpool_limits(1):
        for listener in range(options.rounds):
            for name, step in steps.items():
                started = time.perf_counter()
                step(listener % LISTENERS)
                seconds[name].append(time.perf_counter() - started)
    bare = statistics.median(seconds["bare top-k"])
    print("| step | ms | relative to the bare top-k |\n|---|---|---|")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"| {name} | {1000 * median:.2f} | {median / bare:.2f} |")


def build_world(tracks: int, factors: int) -> tuple[ModelBundle, list[UserItemPairs]]:
    """Return a version, and the history of each of its listeners."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((2000, factors), np.float32)
    cluster = rng.integers(2000, size=tracks)
    popularity = np.ceil(2000 / (1 + rng.permutation(tracks)) ** 0.7).astype(np.float32)
    vectors = centres[cluster] + np.float32(0.7) * rng.standard_normal((tracks, factors), np.float32)
    vectors *= (np.log1p(popularity) / np.linalg.norm(vectors, axis=1))[:, None]
    histories, listeners = [], np.zeros((LISTENERS, factors), np.float32)
    for row in range(LISTENERS):
        near = np.argsort(-(vectors @ centres[rng.integers(2000)]))[:400]
        own = np.sort(rng.choice(near, PLAYS, replace=False))
        listeners[row] = vectors[own].mean(axis=0)
        times = NOW - rng.integers(DAY, 300 * DAY, PLAYS)
        plays = Plays.from_rows((row, track, 1, True, time) for track, time in zip(own, times, strict=True))
        histories.append(UserItemPairs.from_listener(plays))
    ids = np.arange(tracks)
    features = TrackFeatures(
        artist=cluster * 3 + rng.integers(3, size=tracks),
        album=ids // 10,
        recording=np.where(rng.random(tracks) < 0.05, ids // 2, ids),
        released=rng.integers(0, NOW // DAY, tracks).astype(np.int32),
        added=np.full(tracks, NOW - DAY),
    )
    bundle = assemble_bundle(
        version="v",
        items=IdMap(ids),
        popularity=popularity,
        ensemble=EnsembleConfig((ComponentConfig(IALS(factors=factors)),)),
        fitted_models=[FittedModel((listeners, vectors.astype(np.float32)), FoldInConfig())],
        users=IdMap(np.arange(LISTENERS)),
        features=features,
    )
    return bundle, histories


def make_steps(bundle: ModelBundle, histories: list[UserItemPairs]) -> dict[str, Callable[[int], object]]:
    """Return the functions to measure by name; each takes the row of a listener."""

    def search_all(row: int) -> object:
        scores = bundle.item_factors @ bundle.user_factors[row]
        best = np.argpartition(scores, -K)[-K:]
        return best[np.argsort(-scores[best])]

    def make_query(row: int) -> Query:
        history = histories[row]
        return Query(K, seed=row, user_row=row, history=history, exclude=history.track, now=NOW)

    def make_step(policy: Policy) -> Callable[[int], object]:
        return lambda row: recommend(bundle, make_query(row), policy)

    def explain_all(row: int) -> object:
        query = make_query(row)
        ranking = recommend(bundle, query, POLICIES["all"])
        own = set(query.history.track.tolist())
        new = [pick.track_id for pick in ranking.picks if pick.source == "personal" and pick.track_id not in own]
        return explain_by_history(bundle, query, "personal", new, blend=ranking.blends["personal"])

    steps: dict[str, Callable[[int], object]] = {"bare top-k": search_all}
    steps |= {name: make_step(policy) for name, policy in POLICIES.items()}
    return steps | {"reasons": explain_all}


if __name__ == "__main__":
    main()
