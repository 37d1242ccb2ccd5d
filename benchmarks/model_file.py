"""Measure how fast a version of a million tracks is loaded, and how much memory a second process adds.

    python -m benchmarks.model_file [--tracks 1000000] [--factors 64] [--listeners 100000] [--rounds 5]

Our reader checks and maps the file. It is compared with `numpy.load` of the same file and of a file by `numpy.savez`,
each in a fresh process, alternating. "ready" is the time until the arrays can be used and their checksums have been
compared; numpy compares those of a member that it reads to its end, as it does here. "scan" is one product over all
tracks. Memory is PSS.
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

from engine.bundle.model_bundle import assemble_bundle
from engine.bundle.versions import VersionStore
from engine.data.id_map import IdMap
from engine.models.base import FittedModel

LOAD_SCRIPT = """
import json, sys, time
import numpy as np
reader, root, hold = sys.argv[1:4]
from engine.bundle.versions import VersionStore

def pss():
    with open("/proc/self/smaps_rollup") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))

query = np.ones(int(sys.argv[4]), np.float32)
before = pss()
started = time.perf_counter()
if reader == "ours":
    item_factors = VersionStore(__import__("pathlib").Path(root)).load("v1").item_factors
else:
    with np.load(f"{root}/v1/model.npz" if reader == "numpy" else f"{root}/savez.npz") as f:
        arrays = {name: f[name] for name in f.files}
    item_factors = arrays["item_factors"]
ready = time.perf_counter() - started
scans = []
for _ in range(3):
    started = time.perf_counter()
    item_factors @ query
    scans.append(time.perf_counter() - started)
print(json.dumps({"ready": ready, "scan": min(scans), "before": before, "pss": pss()}), flush=True)
if hold == "hold":
    sys.stdin.readline()
    print(json.dumps({"pss": pss()}), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("tracks", 1_000_000), ("factors", 64), ("listeners", 100_000), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        file_bytes = write_files(root, options.tracks, options.listeners, options.factors)
        size = f"{options.tracks:,} tracks and {options.listeners:,} listeners × {options.factors}"
        print(f"{size}: model.npz {format_mb(file_bytes)}\n")
        print_speed(root, options.factors, options.rounds)
        print_memory(root, options.factors, file_bytes)


def write_files(root: Path, tracks: int, listeners: int, factors: int) -> int:
    """Write a version, and its arrays with `numpy.savez`; return the size of its model.npz in bytes."""
    rng = np.random.default_rng(1)
    user_factors, item_factors = (rng.standard_normal((n, factors), np.float32) for n in (listeners, tracks))
    bundle = assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.arange(tracks)),
        popularity=rng.random(tracks, np.float32),
        fitted_models=[FittedModel((user_factors, item_factors))],
        users=IdMap.from_ids(np.arange(listeners)),
    )
    model = VersionStore(root).write(bundle, {}) / "model.npz"
    with np.load(model) as arrays:
        np.savez(root / "savez.npz", **arrays)
    return model.stat().st_size


def start_reader(reader: str, root: Path, factors: int, *, hold: bool = False) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", LOAD_SCRIPT, reader, str(root), "hold" if hold else "-", str(factors)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def read_report(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    report: dict[str, Any] = json.loads(process.stdout.readline())
    return report


def print_speed(root: Path, factors: int, rounds: int) -> None:
    runs_by_reader: dict[str, list[dict[str, Any]]] = {"ours": [], "numpy": [], "savez": []}
    for _ in range(rounds):
        for reader, runs in runs_by_reader.items():
            with start_reader(reader, root, factors) as process:
                runs.append(read_report(process))
    labels = {
        "ours": "musicrec, checked and mapped",
        "numpy": "`numpy.load`, the same file",
        "savez": "`numpy.savez` and `numpy.load`",
    }
    print("| reader | ready, ms | ratio | scan, ms | own memory |\n|---|---|---|---|---|")
    ours = statistics.median(run["ready"] for run in runs_by_reader["ours"])
    for reader, runs in runs_by_reader.items():
        ready, scan = (statistics.median(run[key] for run in runs) for key in ("ready", "scan"))
        own_memory = statistics.median(run["pss"] - run["before"] for run in runs)
        times = f"{ready * 1e3:.1f} | {ready / ours:.1f} | {scan * 1e3:.1f}"
        print(f"| {labels[reader]} | {times} | {format_mb(own_memory)} |")


def print_memory(root: Path, factors: int, file_bytes: int) -> None:
    """Print how much a second process with the model adds to the PSS of both, without what it has before loading."""
    first = start_reader("ours", root, factors, hold=True)
    first_alone = read_report(first)
    second = start_reader("ours", root, factors, hold=True)
    second_report = read_report(second)
    added = current_pss(first) + current_pss(second) - first_alone["pss"] - second_report["before"]
    share = f"{added / file_bytes:.1%} of the file (PSS, all tracks scanned by both)"
    print(f"\nA second process adds {format_mb(added)}: {share}.")


def current_pss(process: "subprocess.Popen[str]") -> int:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(read_report(process)["pss"])


def format_mb(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
    main()
