"""The best 50 tracks of many listeners, as they are computed ahead, beside the bare product and selection.

    python -m benchmarks.batch [--listeners 100000] [--tracks 50000] [--factors 64] [--rounds 3]

"bare": for each 256 listeners the product of their factors with all tracks', the tracks they played set to -inf, and
`argpartition`; nothing else. "one by one" is `recommend`, on a hundredth of the listeners. Everybody has played 60
tracks, which are left out, and is known to the version, as after a publication. One core; rounds alternate; medians.
Factors are those of iALS on generated plays that follow a power law.
"""

import argparse
import statistics
import time

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.training_time import power_law_matrix
from engine.bundle.model_bundle import ModelBundle, assemble_bundle
from engine.data.id_map import IdMap
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.ials import IALS
from engine.pipeline import PERSONAL, recommend
from engine.retrieval.batch import recommend_many
from engine.retrieval.candidates import Query
from engine.retrieval.exact_search import scanned_share

K, TOGETHER, PLAYED = 50, 256, 60
Rows = NDArray[np.int64]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"listeners": 100_000, "tracks": 50_000, "factors": 64, "rounds": 3}
    for name, default in sizes.items():
        options.add_argument(f"--{name}", type=int, default=default)
    given = options.parse_args()
    bundle, played = _world(given.listeners, given.tracks, given.factors)
    share = scanned_share(bundle.norm_sorted_items, bundle.user_factors[:100], K)
    queries = [Query(K, user_row=user, exclude=played[user]) for user in range(given.listeners)]
    few = queries[:: max(1, given.listeners // 1000)]
    took: dict[str, list[float]] = {"bare product and selection": [], "computed ahead": [], "one by one": []}
    with threadpool_limits(1):
        for _ in range(given.rounds):
            took["bare product and selection"].append(_timed(lambda: _bare(bundle, played)))
            took["computed ahead"].append(_timed(lambda: recommend_many(bundle, queries, PERSONAL)))
            alone = _timed(lambda: [recommend(bundle, query, PERSONAL) for query in few])
            took["one by one"].append(alone * len(queries) / len(few))
    print(f"{given.listeners:,} listeners, {given.tracks:,} tracks × {given.factors}, the best {K};", end=" ")
    print(f"a search looks at {share:.0%} of the tracks\n\n| way | s | of the bare | listeners/s |\n|---|---|---|---|")
    bare = statistics.median(took["bare product and selection"])
    for name, times in took.items():
        seconds = statistics.median(times)
        print(f"| {name} | {seconds:.1f} | {seconds / bare:.2f} | {len(queries) / seconds:,.0f} |")


def _world(listeners: int, tracks: int, factors: int) -> tuple[ModelBundle, Rows]:
    """A version, and what each listener played, int64 (listeners, PLAYED)."""
    matrix = power_law_matrix(listeners, tracks, 20 * listeners)
    learnt = IALS(factors=factors, iterations=3).fit(matrix, seed=0)
    known, offered = matrix.shape
    bundle = assemble_bundle(
        version="v",
        items=IdMap(np.arange(offered)),
        popularity=np.maximum(np.diff(matrix.tocsc().indptr), 1).astype(np.float32),
        ensemble=EnsembleConfig((ComponentConfig(IALS(factors=factors)),)),
        fitted_models=[learnt],
        users=IdMap(np.arange(known)),
    )
    played = (np.random.default_rng(1).random((known, PLAYED)) ** 2 * offered).astype(np.int64)
    return bundle, played


def _bare(bundle: ModelBundle, played: Rows) -> None:
    transposed = np.ascontiguousarray(bundle.item_factors.T)
    for begin in range(0, len(bundle.users), TOGETHER):
        scores = bundle.user_factors[begin : begin + TOGETHER] @ transposed
        np.put_along_axis(scores, played[begin : begin + TOGETHER], -np.inf, axis=1)
        best = np.argpartition(scores, -K, axis=1)[:, -K:]
        np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)


def _timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
