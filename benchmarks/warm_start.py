"""Compare iALS that starts from yesterday's factors with iALS that starts from random numbers.

    python -m benchmarks.warm_start [--factors 64] [--iterations 12]

Reads `lastfm-sequences`, plays in order, from the folder MUSICREC_DATA. "Yesterday" is a fit to all but the last ten
tracks of each listener; "today" includes nine of these; the tenth is to be predicted. Prints NDCG@10 over all tracks
that were not played, and the seconds of today's fit; means of five seeds.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.models.base import Factors
from engine.models.ials import IALS, half_step

NEW_TRACKS = 10  # of each listener since yesterday; the last is to be predicted
SEEDS = range(5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=12)
    options = parser.parse_args()
    user, item, later_plays = read_sequences(Path(os.environ.get("MUSICREC_DATA", "../shared/data")))
    shape = int(user.max()) + 1, int(item.max()) + 1
    yesterday, today = (binary_matrix(user[later_plays >= n], item[later_plays >= n], shape) for n in (NEW_TRACKS, 1))
    target = np.full(shape[0], -1)
    target[user[later_plays == 0]] = item[later_plays == 0]

    results: dict[str, list[tuple[float, float]]] = {}
    for seed in SEEDS:
        random_factors = draw_factors(shape, options.factors, seed)
        yesterdays_factors = draw_factors(shape, options.factors, seed)
        fit_in_place(yesterday, yesterdays_factors, options.iterations)
        for start, start_factors, iteration_counts in (
            ("random", random_factors, (3, 6, options.iterations)),
            ("yesterday", yesterdays_factors, (0, 1, 2, 3, 6)),
        ):
            for iterations in iteration_counts:
                x, y = (side.copy() for side in start_factors)
                started = time.perf_counter()
                fit_in_place(today, (x, y), iterations)
                seconds = time.perf_counter() - started
                results.setdefault(f"{start} | {iterations}", []).append((mean_ndcg(x, y, today, target), seconds))

    pairs = f"{today.nnz:,} pairs, {today.nnz - yesterday.nnz:,} since yesterday"
    print(f"{shape[0]:,} listeners, {shape[1]:,} tracks, {pairs}\n")
    print("| from | iterations | NDCG@10 | s |\n|---|---|---|---|")
    for name, rounds in results.items():
        accuracy, seconds = np.mean(rounds, axis=0)
        print(f"| {name} | {accuracy:.4f} | {seconds:.2f} |")


def read_sequences(data: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the user row and item row of each play, and how many plays of the same user came later; int64 (n,)."""
    table = np.loadtxt(data / "lastfm-sequences" / "sequences.tsv", np.int64, skiprows=1)  # listener, position, track
    user, item = (np.unique(table[:, column], return_inverse=True)[1] for column in (0, 2))
    position = table[:, 1]
    last_position = np.zeros(int(user.max()) + 1, np.int64)
    np.maximum.at(last_position, user, position)
    return user, item, last_position[user] - position


def binary_matrix(user: NDArray[np.int64], item: NDArray[np.int64], shape: tuple[int, int]) -> sp.csr_matrix:
    matrix = sp.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def draw_factors(shape: tuple[int, int], factors: int, seed: int) -> Factors:
    rng = np.random.default_rng(seed)
    x, y = (rng.standard_normal((n, factors), np.float32) * np.float32(0.1 / factors**0.5) for n in shape)
    return x, y


def fit_in_place(matrix: sp.csr_matrix, factors: Factors, iterations: int) -> None:
    """Do what `IALS.fit` does, but start from these factors."""
    x, y = factors
    transposed = matrix.T.tocsr()
    user_config, item_config = IALS(factors=x.shape[1]).side_configs(matrix, transposed)
    user_scale = user_config.confidence_scale(np.diff(matrix.indptr)).astype(np.float32)
    item_scale = np.ones(matrix.shape[1], np.float32)
    for _ in range(iterations):
        half_step(matrix, user_scale, y, x, user_config)
        half_step(transposed, item_scale, x, y, item_config)


def mean_ndcg(
    x: NDArray[np.float32], y: NDArray[np.float32], history: sp.csr_matrix, target: NDArray[np.int64]
) -> float:
    """Return the mean NDCG@10 of predicting one target item per user; ties count against the target."""
    scores = x @ y.T
    target_scores = scores[np.arange(len(x)), target]
    scores[history.nonzero()] = -np.inf
    rank = (scores >= target_scores[:, None]).sum(axis=1) - 1  # from 0
    return float(np.where(rank < 10, 1 / np.log2(rank + 2.0), 0).mean())


if __name__ == "__main__":
    main()
