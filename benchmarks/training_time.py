"""Measure the time and memory of one fit, for our iALS and for the `implicit` library on the same matrix.

    python -m benchmarks.training_time [--listeners 100000] [--tracks 50000] [--plays 5000000] [--factors 64]
                                       [--iterations 5] [--rounds 2]

The matrix is generated: popularity and activity follow power laws, seeded. Each fit runs in a process of its own, and
the trainers take turns. A first fit of a small matrix, which loads the compiled code, is not counted. Peak memory is
that of the process during the fit; how much of it the fit added to what the process had before is printed separately.
It is read from /proc, so that this runs on Linux only.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

FIT_SCRIPT = """
import json, re, sys, time
from pathlib import Path
import scipy.sparse as sp
from engine.models import ALS, IALS
def read_kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text()).group(1))
name, path, factors, iterations = sys.argv[1:5]
matrix = sp.load_npz(path)
trainer = {"ials": IALS, "als": ALS}[name](factors=int(factors), iterations=int(iterations))
trainer.fit(matrix[:200, :], seed=0)  # imports and compiles
Path("/proc/self/clear_refs").write_text("5")  # the peak of before is forgotten
before = read_kilobytes("VmRSS")
started = time.perf_counter()
trainer.fit(matrix, seed=0)
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "before": before, "peak": read_kilobytes("VmHWM")}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"listeners": 100_000, "tracks": 50_000, "plays": 5_000_000, "factors": 64, "iterations": 5, "rounds": 2}
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "matrix.npz"
        matrix = power_law_matrix(options.listeners, options.tracks, options.plays)
        sp.save_npz(path, matrix, compressed=False)
        listeners, tracks = matrix.shape
        print(f"{listeners:,} listeners, {tracks:,} tracks, {matrix.nnz:,} pairs; {options.factors} factors\n")
        runs: dict[str, list[dict[str, Any]]] = {"als": [], "ials": []}
        for _ in range(options.rounds):
            for name, trainer_runs in runs.items():
                trainer_runs.append(measure_fit(name, path, options.factors, options.iterations))
    print_table(runs, options.iterations)


def power_law_matrix(listeners: int, tracks: int, plays: int, seed: int = 1) -> sp.csr_matrix:
    """Generate a confidence matrix of popularity ~ rank^-0.8 and activity ~ rank^-0.6.

    Returns:
        CSR float32 (listeners, tracks) with about `plays` entries, all 4.
    """
    rng = np.random.default_rng(seed)
    activity, popularity = (np.arange(1, n + 1) ** -p for n, p in ((listeners, 0.6), (tracks, 0.8)))
    users = rng.choice(listeners, int(plays * 1.25), p=activity / activity.sum())
    items = rng.choice(tracks, int(plays * 1.25), p=popularity / popularity.sum())
    users, items = rng.permutation(listeners)[users], rng.permutation(tracks)[items]
    matrix = sp.csr_matrix((np.ones(len(users), np.float32), (users, items)), (listeners, tracks))
    matrix.sum_duplicates()
    matrix.data[:] = 4
    return matrix


def measure_fit(name: str, path: Path, factors: int, iterations: int) -> dict[str, Any]:
    command = [sys.executable, "-c", FIT_SCRIPT, name, str(path), str(factors), str(iterations)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    measurement: dict[str, Any] = json.loads(output)
    return measurement


def print_table(runs: dict[str, list[dict[str, Any]]], iterations: int) -> None:
    labels = {"als": "implicit ALS (CG, one BLAS thread)", "ials": "musicrec ials"}
    implicit_seconds = statistics.median(run["seconds"] for run in runs["als"])
    print("| trainer | s / iteration | ratio | peak memory, MB | added by the fit, MB |\n|---|---|---|---|---|")
    for name, trainer_runs in runs.items():
        seconds = statistics.median(run["seconds"] for run in trainer_runs)
        peak, before = (statistics.median(run[key] for run in trainer_runs) / 1024 for key in ("peak", "before"))
        cells = [
            f"{seconds / iterations:.2f}",
            f"{seconds / implicit_seconds:.2f}",
            f"{peak:,.0f}",
            f"{peak - before:,.0f}",
        ]
        print(f"| {labels[name]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
