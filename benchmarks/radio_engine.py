"""Measure the CPU time that the engine takes for the next tracks of a radio, on one thread.

    python -m benchmarks.radio_engine [--tracks 50000] [--factors 64] [--radios 60]

The version is that of `benchmarks.slate`. Each radio has 200 seed tracks and 20 reactions, has offered 200 tracks, and
is asked for 5; a third each in the three modes. The fastest of five rounds over all radios counts.
"""

import argparse
import time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.slate import NOW, build_world
from engine.pipeline import RADIO, recommend
from engine.retrieval.candidates import Query
from engine.retrieval.station import MODES, Seed, Station

ROUNDS, SEED_TRACKS, REACTIONS, OFFERED, LIMIT = 5, 200, (7, 6, 7), 200, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=50_000)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--radios", type=int, default=60)
    options = parser.parse_args()
    bundle, _ = build_world(options.tracks, options.factors)
    rng = np.random.default_rng(3)
    queries = [make_query(number, options.tracks, rng) for number in range(options.radios)]
    seconds = []
    with threadpool_limits(1):
        for _ in range(ROUNDS):
            started = time.process_time()
            for query in queries:
                recommend(bundle, query, RADIO)
            seconds.append(time.process_time() - started)
    print(f"{1000 * min(seconds) / len(queries):.2f} ms of CPU time")


def make_query(number: int, tracks: int, rng: np.random.Generator) -> Query:
    def draw(count: int) -> np.ndarray:
        return rng.choice(tracks, count, replace=False)

    seeds = (Seed(np.sort(draw(SEED_TRACKS)), 1.0),)
    liked, played, skipped = map(draw, REACTIONS)
    offered = draw(OFFERED)
    station = Station(seeds, list(MODES)[number % len(MODES)], 0.5, False, liked, played, skipped)
    return Query(LIMIT, seed=number, forbidden=offered, before=offered, station=station, now=NOW)


if __name__ == "__main__":
    main()
