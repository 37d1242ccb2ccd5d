"""A version of a million tracks in service: under load, replaced under load, from a cold start, in eight processes.

    python -m benchmarks.load.million [--tracks 1000000] [--factors 64] [--listeners 20000] [--connections 100]

Nothing is kept of answers (MUSICREC_RESULTS_SECONDS=0), and every listener is folded in. Factors are invented: 2,000
tastes, lengths that fall with the rank of a track, so that an exact search for listeners can leave most out; similar
tracks go through inverted lists. All of it shares this machine with the client.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.installation import BenchmarkDataset, run_installation
from benchmarks.load.client import Measured, load, request
from benchmarks.load.servers import web
from engine.bundle.model_bundle import assemble_bundle
from engine.data.id_map import IdMap
from engine.ensemble import ComponentConfig, EnsembleConfig
from engine.models.base import FittedModel, FoldInConfig
from engine.models.ials import IALS
from musicrec.processes import run_processes, wait_until_ready, web_command
from tests.postgres import free_port

_TASTES = 2000
START = "import time; t = time.perf_counter(); import django; django.setup(); {more}; print(time.perf_counter() - t)"
LOAD = "import musicrec.wsgi"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sizes = {"tracks": 1_000_000, "factors": 64, "listeners": 20_000, "plays": 500_000, "connections": 100}
    for name, default in sizes.items():
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--seconds", type=float, default=8.0)
    given = options.parse_args()
    with run_installation(MUSICREC_RESULTS_SECONDS="0") as folder:
        dataset = BenchmarkDataset.create(given.tracks, given.listeners, given.plays)
        began = time.perf_counter()
        for version in ("first", "second"):
            write(dataset, version, given.factors)
        print(f"writing a version, with its index: {(time.perf_counter() - began) / 2:.0f} s", flush=True)
        publish("first")
        print(f"files of a version: {_bytes(folder) / 2 / 1e6:,.0f} MB\n", flush=True)
        with web() as port:
            under_load(dataset, port, given.connections, given.seconds)
            replaced(dataset, port, given.connections, given.seconds)
        cold_start()
        memory(dataset)


def write(dataset: BenchmarkDataset, version: str, factors: int) -> None:
    from recommendations.training.config import index_config
    from recommendations.version_store import version_store

    rng = np.random.default_rng(len(version))
    centres = rng.standard_normal((_TASTES, factors), np.float32)
    own = rng.standard_normal((len(dataset.tracks), factors), np.float32)
    tracks = centres[np.arange(len(own)) % _TASTES] + np.float32(0.7) * own
    lengths = np.arange(1, len(own) + 1, dtype=np.float32) ** np.float32(-0.35)  # as iALS: the popular are long
    tracks *= (lengths / np.linalg.norm(tracks, axis=1))[:, None]
    listeners = centres[rng.integers(_TASTES, size=len(dataset.users))] * np.float32(0.1)
    bundle = assemble_bundle(
        version=version,
        items=IdMap(np.array(dataset.tracks)),
        popularity=np.ceil(1000 * lengths).astype(np.float32),
        ensemble=EnsembleConfig((ComponentConfig(IALS(factors=factors)),)),
        fitted_models=[FittedModel((listeners, tracks), FoldInConfig())],
        users=IdMap(np.array(dataset.users)),
    )
    version_store().write(bundle, {"report": {}}, index_config())


def publish(version: str) -> None:
    from recommendations.reload_message import send_reload
    from recommendations.version_store import version_store

    version_store().publish(version)
    send_reload(version)


def under_load(dataset: BenchmarkDataset, port: int, connections: int, seconds: float) -> None:
    print(f"| asked for, {connections} connections | answers/s | p50 ms | p99 ms | errors |\n|---|---|---|---|---|")
    for name, requests in _asked(dataset).items():
        load(port, requests, connections, 2.0)
        _print(name, load(port, requests, connections, seconds))


def replaced(dataset: BenchmarkDataset, port: int, connections: int, seconds: float) -> None:
    """The second version is published in the middle; then the first again."""
    requests, swaps = _asked(dataset)["recommendations"], {"second": seconds / 3, "first": 2 * seconds / 3}
    timers = [threading.Timer(at, publish, [version]) for version, at in swaps.items()]
    for timer in timers:
        timer.start()
    found = load(port, requests, connections, seconds)
    during = np.zeros(len(found.at), np.bool_)
    for at in swaps.values():
        during |= (found.at >= at) & (found.at < at + 1)
    usual, swapping = (1000 * float(np.percentile(found.latencies[mask], 99)) for mask in (~during, during))
    print(
        f"\nreplaced under load, twice: {found.errors} errors of {len(found.at):,}; p99 {usual:.0f} ms, in the second"
    )
    print(f"after a publication {swapping:.0f} ms, {swapping / usual:.2f} of it", flush=True)


def cold_start(rounds: int = 3) -> None:
    """What a web process needs beyond Django and the imports, to have the version, checked."""
    ready, django = [], []
    for _ in range(rounds):
        ready.append(_start(LOAD, {}))
        django.append(_start(LOAD, {"MUSICREC_VAR_DIR": "/nonexistent"}))
    print(f"\nfrom start to ready: {min(ready):.2f} s, without a version {min(django):.2f} s", flush=True)


def _start(more: str, environment: dict[str, str]) -> float:
    command = [sys.executable, "-c", START.format(more=more)]
    return float(subprocess.run(command, env=os.environ | environment, capture_output=True, check=True).stdout)


def memory(dataset: BenchmarkDataset) -> None:
    """PSS of one and of eight web processes that have answered, with the one they were forked from."""
    found = {number: _memory_of(number, dataset) for number in (1, 8)}
    print(f"memory (PSS): one process {found[1] / 1e6:,.0f} MB, eight {found[8] / 1e6:,.0f} MB,", end=" ")
    print(f"{found[8] / found[1]:.2f} of it")


def _memory_of(processes: int, dataset: BenchmarkDataset) -> float:
    port = free_port()
    command = web_command(port)
    command[command.index("--workers") + 1] = str(processes)
    with run_processes({"web": command}, dict(os.environ)) as started:
        wait_until_ready(port, started)
        time.sleep(processes)  # the others are starting
        parent = psutil.Process(started["web"].pid)
        children = parent.children()
        assert len(children) >= processes, children
        for requests in _asked(dataset).values():
            load(port, requests, 8 * processes, 3.0)
        return float(sum(child.memory_full_info().pss for child in (parent, *children)))


def _asked(dataset: BenchmarkDataset) -> dict[str, list[bytes]]:
    key, rng = f"Api-Key {dataset.key}", np.random.default_rng(1)
    users, tracks = rng.permutation(dataset.users).tolist(), rng.choice(dataset.tracks, 20_000).tolist()
    return {
        "recommendations": [request(f"/recommend/user/{user}/ml?limit=20", key) for user in users],
        "similar tracks": [request(f"/recommend/similar/{track}?limit=20", key) for track in tracks],
    }


def _print(name: str, found: Measured) -> None:
    p50, p99 = found.percentile(50), found.percentile(99)
    print(f"| {name} | {found.rate:,.0f} | {p50:.1f} | {p99:.1f} | {found.errors} |", flush=True)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.suffix in (".npz", ".faiss"))


if __name__ == "__main__":
    main()
