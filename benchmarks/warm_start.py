"""Whether a night should go on from the factors of the night before: iALS from them beside iALS from random numbers.

    python -m benchmarks.warm_start [--factors 64] [--iterations 12]

Reads `lastfm-sequences` in the folder MUSICREC_DATA: plays in order. "Yesterday" is a fit to all but each
listener's last ten tracks; "today" has nine of these too; the tenth is asked for. NDCG@10 over all tracks not played,
and seconds of the fit; five seeds, means.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from engine.models.ials import IALS, half_step, scale_confidences

Factors = tuple[NDArray[np.float32], NDArray[np.float32]]
NEW = 10  # tracks of each listener since yesterday, the last of which is asked for


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--factors", type=int, default=64)
    options.add_argument("--iterations", type=int, default=12)
    given = options.parse_args()
    user, item, from_last = _plays(Path(os.environ.get("MUSICREC_DATA", "../shared/data")) / "lastfm-sequences")
    shape = int(user.max()) + 1, int(item.max()) + 1
    yesterday, today = (_matrix(user[from_last >= n], item[from_last >= n], shape) for n in (NEW, 1))
    asked = np.full(shape[0], -1)
    asked[user[from_last == 0]] = item[from_last == 0]
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(5):
        random, before = _random(shape, given.factors, seed), _random(shape, given.factors, seed)
        _fit(yesterday, before, given)
        ways = [("random", n) for n in (3, 6, given.iterations)] + [("yesterday", n) for n in (0, 1, 2, 3, 6)]
        for start, iterations in ways:
            x, y = (side.copy() for side in (random if start == "random" else before))
            began = time.perf_counter()
            _fit(today, (x, y), argparse.Namespace(factors=given.factors, iterations=iterations))
            seconds = time.perf_counter() - began
            found.setdefault(f"{start} | {iterations}", []).append((_ndcg(x, y, today, asked), seconds))
    pairs = f"{today.nnz:,} pairs, {today.nnz - yesterday.nnz:,} since yesterday"
    print(f"{shape[0]:,} listeners, {shape[1]:,} tracks, {pairs}\n")
    print("| from | iterations | NDCG@10 | s |\n|---|---|---|---|")
    for name, rounds in found.items():
        accuracy, seconds = np.mean(rounds, axis=0)
        print(f"| {name} | {accuracy:.4f} | {seconds:.2f} |")


def _plays(folder: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows of listeners and tracks, and how many plays of the listener came later."""
    table = np.loadtxt(folder / "sequences.tsv", np.int64, skiprows=1)  # listener, position, track
    user, item = (np.unique(table[:, column], return_inverse=True)[1] for column in (0, 2))
    order = table[:, 1]
    last = np.zeros(int(user.max()) + 1, np.int64)
    np.maximum.at(last, user, order)
    return user, item, last[user] - order


def _matrix(user: NDArray[np.int64], item: NDArray[np.int64], shape: tuple[int, int]) -> sp.csr_matrix:
    matrix = sp.csr_matrix((np.ones(len(user), np.float32), (user, item)), shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _random(shape: tuple[int, int], factors: int, seed: int) -> Factors:
    rng = np.random.default_rng(seed)
    x, y = (rng.standard_normal((n, factors), np.float32) * np.float32(0.1 / factors**0.5) for n in shape)
    return x, y


def _fit(matrix: sp.csr_matrix, factors: Factors, given: argparse.Namespace) -> None:
    """As `IALS.fit`, from these factors, in place."""
    model, (x, y) = IALS(factors=given.factors), factors
    fold_in = model.fold_in_config(matrix)
    sides = [scale_confidences(matrix, fold_in)]
    sides.append(sides[0].T.tocsr())
    ridges = [fold_in.ridge(np.diff(s.indptr), s.shape[1]).astype(np.float32) for s in sides]
    for _ in range(given.iterations):
        half_step(sides[0], y, x, ridges[0], model.unobserved)
        half_step(sides[1], x, y, ridges[1], model.unobserved)


def _ndcg(x: NDArray[np.float32], y: NDArray[np.float32], known: sp.csr_matrix, asked: NDArray[np.int64]) -> float:
    scores = x @ y.T
    users = np.arange(len(x))
    of_asked = scores[users, asked]
    scores[known.nonzero()] = -np.inf
    place = (scores >= of_asked[:, None]).sum(axis=1) - 1  # of what scores alike, the last
    return float(np.where(place < 10, 1 / np.log2(place + 2.0), 0).mean())


if __name__ == "__main__":
    main()
