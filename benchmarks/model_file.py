"""How fast a version of a million tracks is ready, and what a second process adds to memory.

    python -m benchmarks.model_file [--tracks 1000000] [--factors 64] [--listeners 100000] [--rounds 5]

Ours (checked and mapped) beside `numpy.load` of the same file and of an ordinary `numpy.savez` one, each in a fresh
process, interleaved. "ready" ends with the arrays usable and their checksums compared (numpy compares none on its own
unless it reads a member to its end, which it does here). "scan" is one product over all tracks. Memory is PSS.
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

CHILD = """
import json, sys, time
import numpy as np
how, root, hold = sys.argv[1:4]
from engine.bundle.versions import VersionStore

def pss():
    with open("/proc/self/smaps_rollup") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("Pss:"))

query = np.ones(int(sys.argv[4]), np.float32)
before = pss()
began = time.perf_counter()
if how == "ours":
    item_factors = VersionStore(__import__("pathlib").Path(root)).load("v1").item_factors
else:
    with np.load(f"{root}/v1/model.npz" if how == "numpy" else f"{root}/savez.npz") as f:
        arrays = {name: f[name] for name in f.files}
    item_factors = arrays["item_factors"]
ready = time.perf_counter() - began
scans = []
for _ in range(3):
    began = time.perf_counter()
    item_factors @ query
    scans.append(time.perf_counter() - began)
print(json.dumps({"ready": ready, "scan": min(scans), "before": before, "pss": pss()}), flush=True)
if hold == "hold":
    sys.stdin.readline()
    print(json.dumps({"pss": pss()}), flush=True)
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("tracks", 1_000_000), ("factors", 64), ("listeners", 100_000), ("rounds", 5)):
        options.add_argument(f"--{name}", type=int, default=default)
    size = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        file_bytes = write(root, size.tracks, size.listeners, size.factors)
        print(f"{size.tracks:,} tracks and {size.listeners:,} listeners × {size.factors}: model.npz {mb(file_bytes)}\n")
        print_speed(root, size.factors, size.rounds)
        print_memory(root, size.factors, file_bytes)


def write(root: Path, tracks: int, listeners: int, factors: int) -> int:
    """A version, and its arrays as `numpy.savez` writes them; the bytes of its model.npz."""
    rng = np.random.default_rng(1)
    of_listeners, of_tracks = (rng.standard_normal((n, factors), np.float32) for n in (listeners, tracks))
    bundle = assemble_bundle(
        version="v1",
        items=IdMap.from_ids(np.arange(tracks)),
        popularity=rng.random(tracks, np.float32),
        fitted_models=[FittedModel((of_listeners, of_tracks))],
        users=IdMap.from_ids(np.arange(listeners)),
    )
    model = VersionStore(root).write(bundle, {}) / "model.npz"
    with np.load(model) as arrays:
        np.savez(root / "savez.npz", **arrays)
    return model.stat().st_size


def start(how: str, root: Path, factors: int, *, hold: bool = False) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, how, str(root), "hold" if hold else "-", str(factors)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def print_speed(root: Path, factors: int, rounds: int) -> None:
    measured: dict[str, list[dict[str, Any]]] = {"ours": [], "numpy": [], "savez": []}
    for _ in range(rounds):
        for how, runs in measured.items():
            with start(how, root, factors) as process:
                runs.append(said(process))
    names = {
        "ours": "musicrec, checked and mapped",
        "numpy": "numpy.load, the same file",
        "savez": "numpy.savez + load",
    }
    print("| reader | ready, ms | ratio | scan, ms | own memory |\n|---|---|---|---|---|")
    ours = statistics.median(run["ready"] for run in measured["ours"])
    for how, runs in measured.items():
        ready, scan = (statistics.median(run[key] for run in runs) for key in ("ready", "scan"))
        grown = statistics.median(run["pss"] - run["before"] for run in runs)
        print(f"| {names[how]} | {ready * 1e3:.1f} | {ready / ours:.1f} | {scan * 1e3:.1f} | {mb(grown)} |")


def print_memory(root: Path, factors: int, file_bytes: int) -> None:
    """What a second process adds beyond what a process without a model weighs."""
    first = start("ours", root, factors, hold=True)
    one = said(first)
    second = start("ours", root, factors, hold=True)
    two = said(second)
    added = now(first) + now(second) - one["pss"] - two["before"]
    print(
        f"\nA second process adds {mb(added)}: {added / file_bytes:.1%} of the file (PSS, all tracks scanned by both)."
    )


def now(process: "subprocess.Popen[str]") -> int:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return int(said(process)["pss"])


def mb(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
    main()
